"""What evaluations of rebuilt frames share: layout, errors, mask ratios."""

import abc
import collections
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from rvmae_jax.data.flow import FLOWS, ClipFlow, flow_between
from rvmae_jax.data.pipeline import batch_spec
from rvmae_jax.evals import Evaluation, Result
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.videos import Videos
from rvmae_jax.metrics.coherence import (
  difference_error,
  is_followed,
  mean_where,
  warp,
  warped_error,
)
from rvmae_jax.metrics.image import interior_mean, psnr, ssim_map
from rvmae_jax.registry import check_counts

# Arrays by name, a row for each clip.
Clips = dict[str, np.ndarray]
# How unlike frames [n, H, W, 3] are to others: [n].
Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RebuildingEval(Evaluation):
  """Likeness and coherence of frames that a network rebuilds.

  A subclass says what is true and who guesses; here the guesses are measured.
  PSNR, SSIM and perceptual distance are of what is hidden and of whole frames;
  PSNR is that of the mean error over all clips. Temporal coherence is of
  consecutive frames, see `coherence`; what no clip has is left out.

  Attributes:
    videos: what to read; needs a mask.
    num_batches: stop after so many, in the order of the sources; 0 takes all.
    num_pictures: clips whose arrays are kept.
    ratios: further mask ratios to measure.
    perceptual: the network whose features compare whole frames too: '' for
      none, 'own' for this one, or the path of a frozen one, such as VGG16 or
      LPIPS; see `ModelFunctions.perceptual_distance`.
    flow: the estimator of the true flow that warped errors follow, one of
      `data.flow.FLOWS`; '' leaves them out. So does a missing OpenCV (extra
      [flow]), which is logged. They are measured for the run's own mask only.

  Raises:
    ValueError: nothing is hidden of what the evaluation wants to see rebuilt,
      an unknown `flow`, or no pictures.
  """

  reads = ('sources', 'clip', 'crop', 'mask')

  videos: Videos
  num_batches: int = 0
  num_pictures: int = 4
  ratios: Sequence[float] = ()
  perceptual: str = ''
  flow: str = ''

  def __post_init__(self):
    check_counts(self, 'num_pictures')
    if self.flow:
      FLOWS.get(self.flow)
    check_rebuilds(type(self).__name__, self.videos, self.rebuilds)

  @abc.abstractmethod
  def scores(
    self, clips: Clips, distance: Distance | None = None, flow: str = ''
  ) -> dict[str, np.ndarray]:
    """Numbers of each of `rebuilt_clips`, see `score` and `coherence`."""

  @abc.abstractmethod
  def metrics(self, means: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Named numbers from the means of `scores` over all clips."""

  def run(self, functions: ModelFunctions) -> Result:
    """The numbers of `metrics`, `num_videos`, and `ratio_0.75/...` alike.

    Arrays are of the first clips, with the run's own mask.
    """
    flow = self.flow
    try:
      if flow:
        ClipFlow(flow)
    except ImportError as error:
      logging.warning('Warped errors are left out: %s', error)
      flow = ''
    metrics, arrays = self._measure(functions, self.videos, flow)
    if not metrics:
      return self.skipped('no video could be decoded')
    for ratio in self.ratios:
      videos = self.videos.replace(mask={**self.videos.mask, 'ratio': ratio})
      found, _ = self._measure(functions, videos)
      del found['num_videos']
      metrics |= {f'ratio_{ratio:.4g}/{key}': found[key] for key in found}
    return Result(metrics, arrays)

  def _measure(
    self, functions: ModelFunctions, videos: Videos, flow: str = ''
  ) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Numbers of one mask, and the arrays of the first clips."""
    distance = None
    if self.perceptual:
      distance = functools.partial(
        functions.perceptual_distance, network=self.perceptual
      )
    kept, scores, num_videos = [], collections.defaultdict(list), 0
    for batch in videos.batches(self.num_batches, 'reconstruction'):
      clips = rebuilt_clips(functions, batch, videos)
      for key, values in self.scores(clips, distance, flow).items():
        scores[key].append(values)
      if num_videos < self.num_pictures:
        kept.append(clips)
      num_videos += len(clips['video'])
    if not num_videos:
      return {}, {}
    arrays = {
      key: np.concatenate([clips[key] for clips in kept])[: self.num_pictures]
      for key in kept[0]
    }
    means = {key: _mean(rows) for key, rows in scores.items()}
    return {'num_videos': num_videos} | self.metrics(means), arrays


def score(
  true: np.ndarray,
  hidden: np.ndarray,
  guesses: Mapping[str, np.ndarray],
  num_lead: int,
  distance: Distance | None = None,
) -> dict[str, np.ndarray]:
  """Errors and likeness of guesses, on what is hidden and on whole frames.

  Args:
    true: [B, S, H, W, 3] in [0, 1].
    hidden: [B, S, H, W] bool.
    guesses: method -> what broadcasts to `true`.
    num_lead: 2 keeps frames apart, 1 takes the mean over them.
    distance: perceptual distance of frames [n, H, W, 3], [n] numbers.

  Returns:
    `<method>/error_hidden`, `error_hidden_frames` (of frames that are hidden
    whole; masked where none is), `error_frame`, `ssim_hidden`, `ssim_frame`
    and, where asked for, `perceptual_frame`, each [B, S] or [B].
  """
  axes = tuple(range(num_lead, 4))
  whole = np.broadcast_to(hidden.all((2, 3), keepdims=True), hidden.shape)

  def mean_frames(values):  # [B, S]
    return values if num_lead == 2 else values.mean(1)

  scores = {}
  for method, guess in guesses.items():
    guess = np.broadcast_to(guess, true.shape)
    error = np.square(guess - true).mean(-1)
    likeness = ssim_map(guess, true)
    scores |= {
      f'{method}/error_hidden': mean_where(error, hidden, axes),
      f'{method}/error_hidden_frames': mean_where(error, whole, axes),
      f'{method}/error_frame': error.mean(axes),
      f'{method}/ssim_hidden': mean_where(likeness, hidden, axes),
      f'{method}/ssim_frame': mean_frames(interior_mean(likeness)),
    }
    if distance:
      # [B, S, H, W, 3] -> [B*S, H, W, 3], and back
      frames = [x.reshape(-1, *true.shape[2:]) for x in (guess, true)]
      values = distance(*frames).reshape(true.shape[:2])
      scores[f'{method}/perceptual_frame'] = mean_frames(values)
  return scores


def coherence(
  true: np.ndarray,
  hidden: np.ndarray,
  guesses: Mapping[str, np.ndarray],
  num_lead: int,
  flow: str = '',
  is_next: np.ndarray | bool = True,
) -> dict[str, np.ma.MaskedArray]:
  """Errors of guesses between frames and the frames before them.

  A pixel counts if it is hidden in both frames; for `hidden_frames`, if both
  are hidden as a whole. Warped errors leave out pixels that the frame before
  does not show. The true video has such errors, too: they are given as method
  `true`, and a guess need not be below them.

  Args:
    true, hidden, guesses, num_lead: as of `score`.
    flow: the estimator of the true flow; '' leaves warped errors out.
    is_next: [S - 1] bool, whether a frame comes right after the one before.

  Returns:
    `<method>/difference_error_hidden`, `difference_error_hidden_frames` and, if
    asked for, `warped_error_hidden` and `warped_error_hidden_frames`; each
    [B, S - 1] or [B], masked where no pixel counts.
  """
  axes = tuple(range(num_lead, 4))
  is_next = np.reshape(is_next, (-1, 1, 1))
  frames = np.broadcast_to(hidden.all((2, 3), keepdims=True), hidden.shape)
  frames = frames[:, 1:] & frames[:, :-1] & is_next
  pixels = hidden[:, 1:] & hidden[:, :-1] & is_next

  def means(kind, errors, pixels, frames):
    return {
      f'{method}/{kind}_{name}': mean_where(error, where, axes)
      for method, error in errors.items()
      for name, where in (('hidden', pixels), ('hidden_frames', frames))
    }

  guesses = {k: np.broadcast_to(g, true.shape) for k, g in guesses.items()}
  errors = {k: difference_error(g, true) for k, g in guesses.items()}
  scores = means('difference_error', errors, pixels, frames)
  if not flow or not pixels.any():
    return scores
  to_before, back = map(
    np.stack,
    zip(*(flow_between(np.uint8(np.rint(255 * t)), flow) for t in true)),
  )
  follows = is_followed(to_before, back) & is_next
  was_hidden = warp(np.float32(hidden[:, :-1, ..., None]), to_before)[..., 0]
  pixels = hidden[:, 1:] & (was_hidden > 0.999) & follows
  guesses = {**guesses, 'true': true}
  errors = {k: warped_error(g, to_before) for k, g in guesses.items()}
  return scores | means('warped_error', errors, pixels, frames & follows)


def named(means: Mapping[str, float]) -> dict[str, float]:
  """Means as numbers: those of `score` that are errors become PSNR."""
  return {
    key.replace('/error_', '/psnr_'): (
      psnr(mean) if '/error_' in key else float(mean)
    )
    for key, mean in means.items()
    if not np.ma.is_masked(mean)
  }


def check_rebuilds(name: str, videos: Videos, rebuilds: Sequence[str]) -> None:
  """Checks that batches hide what an evaluation wants to see rebuilt.

  Raises:
    ValueError: no mask, or one of the other kind.
  """
  spec = batch_spec(
    videos.data, 1, videos.patch_size, videos.tubelet_size, train=False
  )
  hidden = 'target' if 'target' in spec else 'video'
  if 'ids_keep' not in spec:
    raise ValueError(
      f'{name} needs something hidden to be rebuilt, and data.mask is empty; '
      'this run rebuilds nothing, or the evaluation removed its mask.'
    )
  if hidden not in rebuilds:
    other = {'target': 'reconstruction', 'video': 'clip_reconstruction'}[hidden]
    raise ValueError(
      f'{name} measures rebuilt {rebuilds[0]} frames, but data.clip '
      f'{videos.clip["name"]!r} with data.mask {videos.mask["name"]!r} '
      f'has {hidden} frames rebuilt: use the evaluation {other!r}.'
    )


def rebuilt_clips(
  functions: ModelFunctions, batch: Mapping[str, Any], videos: Videos
) -> Clips:
  """What a network rebuilds of the valid rows of a batch, beside the truth.

  Args:
    functions: the network.
    batch: of the contract; tokens are hidden of its target frames, if it has
      any, or else of its clip.
    videos: that the batch is of.

  Returns:
    `video` [B, T, H, W, 3] in [0, 1]. Of targets, `target` and `rebuilt`
    [B, S, H, W, 3] and `hidden` [B, S, H, W] bool; of clips, `rebuilt` like
    `video`, and `visible` and `hidden` [B, T, H, W] bool: some pixels may be
    neither.
  """
  valid, p = batch['valid'], videos.patch_size
  rebuilt = np.asarray(functions.predict(batch)['rebuilt'])
  clips = {
    'video': batch['video'][valid] / np.float32(255),
    'rebuilt': rebuilt[valid].clip(0, 1),
  }
  if 'target' in batch:
    shape = batch['target'].shape
    num_tokens = (shape[2] // p) * (shape[3] // p)
    # A target frame's ids count through it alone; [B, S, K].
    ids = batch['ids_keep'] + num_tokens * np.arange(shape[1])[:, None]
    visible = _token_pixels(ids, shape, p, tubelet_size=1)
    target = batch['target'][valid] / np.float32(255)
    return {**clips, 'target': target, 'hidden': ~visible[valid]}
  visible, masked = (
    _token_pixels(batch[key], batch['video'].shape, p, videos.tubelet_size)
    for key in ('ids_keep', 'ids_mask')
  )
  hidden = masked & ~visible
  return {**clips, 'visible': visible[valid], 'hidden': hidden[valid]}


def _mean(batches: Sequence[np.ndarray]) -> np.ma.MaskedArray:
  """The mean over the rows of batches; masked where no row has a number."""
  rows = np.ma.concatenate(batches)
  count = rows.count(0)
  total = rows.filled(0).sum(0)
  return np.ma.array(total / np.maximum(count, 1), mask=count == 0)


def _token_pixels(
  ids: np.ndarray, shape: tuple[int, ...], patch_size: int, tubelet_size: int
) -> np.ndarray:
  """Where tokens lie in frames: ids [B, ...] -> [B, T, H, W] bool.

  Ids count through all tubelets of the clip.
  """
  batch_size, num_frames, height, width, _ = shape
  grid = num_frames // tubelet_size, height // patch_size, width // patch_size
  tokens = np.zeros((batch_size, np.prod(grid)), bool)
  # [B, ...] -> [B, L]
  np.put_along_axis(tokens, ids.reshape(batch_size, -1), True, axis=1)
  tokens = tokens.reshape(batch_size, *grid)  # [B, t*h*w] -> [B, t, h, w]
  for axis, times in ((1, tubelet_size), (2, patch_size), (3, patch_size)):
    tokens = np.repeat(tokens, times, axis)
  return tokens
