"""From records to features: one clip of each video, or all of its frames."""

import concurrent.futures
import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from rvmae_jax.data.decoding import VideoError
from rvmae_jax.data.frames import read_frames
from rvmae_jax.data.loader import ClipLoader, make_loader
from rvmae_jax.data.pipeline import check_config
from rvmae_jax.data.records import Record
from rvmae_jax.evals.dense import DenseEncoder, filled
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.pooling import Pooling

# Features that are no pooling over time.
BY_FRAME = ('dense', 'frames')
_THREADS = 8


class Extracted(NamedTuple):
  """What was found of one video.

  Attributes:
    path, label: of the record.
    features: None where the video could not be read.
    num_frames: that were encoded.
    reason: why it could not be read.
  """

  path: str
  label: int
  features: np.ndarray | None = None
  num_frames: int = 0
  reason: str = ''


def check_kind(kind: str) -> None:
  """ValueError if it is neither 'dense' nor 'frames' nor names a pooling."""
  if kind not in BY_FRAME:
    try:
      Pooling.named(kind)
    except ValueError as error:
      raise ValueError(f"{error} Besides: 'dense' and 'frames'.") from None


def reduce_tokens(tokens: np.ndarray, kind: str) -> np.ndarray:
  """Features of one video from its tokens.

  Args:
    tokens: [T, N, D], those of the grid.
    kind: 'dense' keeps [T, N, D]; 'frames' is the mean over places, [T, D];
      else a pooling of `evals.pooling`.

  Raises:
    ValueError: the video is shorter than the pooling's span.
  """
  if kind == 'dense':
    return tokens
  if kind == 'frames':
    return tokens.mean(1)
  pooling = Pooling.named(kind)
  pooling.check(len(tokens), 1)
  return np.asarray(pooling(tokens[None]))[0]


@dataclasses.dataclass(frozen=True)
class ClipExtractor:
  """Features of the clip that evaluations see: spread or strided, centre crop.

  Attributes:
    functions: the network.
    loader: see `clip_loader`.
    batch_size: clips at once; the last ones are filled up, so that the network
      is compiled once.
    kind: see `reduce_tokens`.
  """

  functions: ModelFunctions
  loader: ClipLoader
  batch_size: int
  kind: str

  def __call__(self, records: Sequence[Record]) -> Iterator[Extracted]:
    """Yields one entry a record; of a batch, unreadable ones come first."""
    starts = range(0, len(records), self.batch_size)
    batches = [records[start : start + self.batch_size] for start in starts]
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as threads:
      following = threads.map(self._load, records[: self.batch_size])
      for some, after in itertools.pairwise([*batches, ()]):
        # Those after are decoded while these are encoded.
        loaded, following = following, threads.map(self._load, after)
        good, videos = [], []
        for record, found in zip(some, loaded):
          if isinstance(found, VideoError):
            yield _bad(record, found)
          else:
            good.append(record)
            videos.append(found)
        if good:
          yield from self._encode(good, np.stack(videos))

  def _load(self, record: Record) -> np.ndarray | VideoError:
    try:
      return self.loader(record, np.random.default_rng(0))['video'][0]
    except VideoError as error:
      return error

  def _encode(self, records, video) -> Iterator[Extracted]:
    clips = filled(video, self.batch_size)
    if self.kind in BY_FRAME:
      tokens = self.functions.encode(clips)
      tokens = tokens[:, :, self.functions.num_prefix_tokens :]
      # Each frame of a tubelet has its features.
      tokens = np.repeat(tokens, video.shape[1] // tokens.shape[1], axis=1)
      found = [reduce_tokens(of_clip, self.kind) for of_clip in tokens]
    else:  # Tokens stay on the device.
      found = self.functions.pooled(clips, (self.kind,))[self.kind]
    for record, features in zip(records, found):
      yield Extracted(record['path'], record['label'], features, video.shape[1])


def clip_loader(
  model: dict[str, int],
  size: tuple[int, int],
  num_frames: int,
  stride: int,
) -> ClipLoader:
  """Loads the clip of an evaluation.

  Args:
    model: `patch_size` and `tubelet_size`.
    size: (height, width) of the centre crop.
    num_frames: of a clip.
    stride: frames in a step; 0 spreads the clip over the video.
  """
  clip = {'name': 'uniform', 'num_frames': num_frames, 'stride': stride}
  # Records are handed in; no source is asked for any.
  config = {'sources': {'given': {}}, 'clip': clip, 'crop': {'size': size}}
  return make_loader(check_config(config), **model, train=False)


@dataclasses.dataclass(frozen=True)
class VideoExtractor:
  """Features of all frames: streamed, or in windows for models of clips.

  No more than a few frames are held; of their tokens, what `kind` needs.

  Attributes:
    encoder: see `evals.dense`.
    size: (height, width) that whole frames are resized to.
    stride: every so many frames.
    kind: see `reduce_tokens`.
  """

  encoder: DenseEncoder
  size: tuple[int, int]
  stride: int
  kind: str

  def __call__(self, records: Sequence[Record]) -> Iterator[Extracted]:
    """Yields one entry a record, in order."""
    for record in records:
      try:
        tokens = np.concatenate(list(self._tokens(record)))
      except VideoError as error:
        yield _bad(record, error)
        continue
      try:
        features = reduce_tokens(tokens, self.kind)
      except ValueError as error:  # The video is too short.
        yield _bad(record, VideoError(record['path'], str(error)))
        continue
      yield Extracted(record['path'], record['label'], features, len(tokens))

  def _tokens(self, record: Record) -> Iterator[np.ndarray]:
    for tokens in self.encoder(read_frames(record, self.size, self.stride)):
      if self.kind == 'dense' or self.kind.startswith('change'):
        yield tokens
      else:
        # The rest asks for means over the tokens of a frame: [n, 1, D].
        yield tokens.mean(1, keepdims=True)


def _bad(record: Record, error: VideoError) -> Extracted:
  return Extracted(record['path'], record['label'], reason=error.reason)


def make_extractor(
  functions: ModelFunctions,
  options: dict[str, Any],
  token_size: dict[str, int],
) -> ClipExtractor | VideoExtractor:
  """The extractor that options describe.

  Args:
    functions: the network.
    options: `kind`, `read` ('clip' or 'all'), `size`, `num_frames`, `stride`,
      `batch_size`, `window`, `chunk` and `reset_every`.
    token_size: `patch_size` and `tubelet_size` of the model.
  """
  kind, size = options['kind'], tuple(options['size'])
  if options['read'] == 'clip':
    if kind not in BY_FRAME:
      Pooling.named(kind).check(
        options['num_frames'], token_size['tubelet_size']
      )
    loader = clip_loader(
      token_size, size, options['num_frames'], options['stride']
    )
    return ClipExtractor(functions, loader, options['batch_size'], kind)
  names = ('window', 'chunk', 'reset_every')
  encoder = DenseEncoder(functions, **{name: options[name] for name in names})
  return VideoExtractor(encoder, size, max(options['stride'], 1), kind)
