"""From a record to rows of a batch: sample frames, decode, augment, mask."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rvmae_jax.data.augmentation import Augmentation, make_augmentation
from rvmae_jax.data.clips import CLIPS, Clip
from rvmae_jax.data.decoding import open_record
from rvmae_jax.data.flow import ClipFlow
from rvmae_jax.masking import build_mask


@dataclasses.dataclass(frozen=True)
class ClipLoader:
  """Turns one record into `repeats` rows of a batch.

  Attributes:
    sample: a clip sampler of `data/clips.py`.
    augment: of `data/augmentation`; drawn once for all frames of a clip.
    augment_view2: the same for a second view.
    flow: estimates optical flow for a mask that wants it, or None.
    mask: of `masking/`, or None.
    repeats: clips to draw from the video; all are decoded in one go.
    random_clips: draw clips, or take the one that evaluation uses.
    open: gives a reader of a record; replaced to measure it.
  """

  sample: Callable[..., Clip]
  augment: Augmentation
  augment_view2: Augmentation
  flow: ClipFlow | None
  mask: Callable[[dict, np.random.Generator], dict] | None
  repeats: int
  random_clips: bool
  open: Callable = open_record

  def __call__(
    self, record: dict, rng: np.random.Generator
  ) -> dict[str, np.ndarray]:
    """Rows of a batch: key -> [repeats, ...].

    Raises:
      VideoError: the record's video cannot be decoded.
    """
    clip_rng = rng if self.random_clips else None
    with self.open(record) as reader:
      clips = [
        self.sample(reader.timestamps_s, clip_rng) for _ in range(self.repeats)
      ]
      indices = [np.concatenate(list(clip.frames.values())) for clip in clips]
      frames = reader.read(np.concatenate(indices))
    rows = [
      self._row(clip, part, record.get('label', -1), rng)
      for clip, part in zip(clips, np.split(frames, self.repeats))
    ]
    return {key: np.stack([row[key] for row in rows]) for key in rows[0]}

  def blank_rows(self, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Rows of a black video: right in shape and dtype, reading nothing."""
    frames = np.zeros((1, *size, 3), np.uint8)
    return self({'path': 'blank', 'frames': frames}, np.random.default_rng(0))

  def _row(
    self, clip: Clip, frames: np.ndarray, label: int, rng: np.random.Generator
  ) -> dict[str, np.ndarray]:
    ends = np.cumsum([len(indices) for indices in clip.frames.values()])
    # A second view comes last.
    num_first = len(frames) - len(clip.frames.get('view2', ()))
    first, crop = self.augment(frames[:num_first], rng)
    row = dict(zip(clip.frames, np.split(first, ends[:-1])))
    if 'view2' in clip.frames:
      row['view2'], _ = self.augment_view2(frames[num_first:], rng)
    if self.flow:
      # From the frames as they were decoded; `video` comes first.
      row['flow'] = self.flow(frames[: len(row['video'])], crop)
    row |= clip.entries
    row['label'] = np.int32(label)
    return self.mask(row, rng) if self.mask else row


def make_loader(
  config: Mapping[str, Any],
  patch_size: int,
  tubelet_size: int = 1,
  *,
  train: bool,
) -> ClipLoader:
  """The loader that a checked `config.data` describes.

  Raises:
    ValueError: a setting of the clip, augmentation or mask makes no sense, or
      the clip cannot be cut into tokens.
  """
  height, width = config['crop']['size']
  if height % patch_size or width % patch_size:
    raise ValueError(
      f'data.crop.size={(height, width)} cannot be cut into patches of '
      f'{patch_size} x {patch_size}: use multiples of {patch_size}.'
    )
  if config['repeats'] < 1:
    raise ValueError(f'data.repeats={config["repeats"]} must be at least 1.')
  sample = CLIPS.build(config['clip'])
  # A video of one frame gives a clip as long as any.
  frames = sample(np.zeros(1)).frames
  num_frames = {key: len(indices) for key, indices in frames.items()}
  if num_frames['video'] % tubelet_size:
    raise ValueError(
      f'data.clip gives {num_frames["video"]} frames, which cannot be cut into '
      f'tubelets of {tubelet_size} frames: use a multiple of {tubelet_size}.'
    )
  grid = (height // patch_size, width // patch_size)
  mask = build_mask(config['mask'], num_frames, grid, tubelet_size)
  flow = getattr(mask, 'flow', None)
  augment = make_augmentation(config['crop'], config['augment'], train=train)
  augment_view2 = augment
  if config['augment_view2']:
    augment_view2 = make_augmentation(
      config['crop'], config['augment_view2'], train=train
    )
  if flow and augment.moves_pixels:
    raise ValueError(
      f'The mask {config["mask"]["name"]!r} follows optical flow, which cannot '
      'follow what rand_augment shears, turns and shifts: set '
      'data.augment.rand_augment.geometric=False.'
    )
  return ClipLoader(
    sample=sample,
    augment=augment,
    augment_view2=augment_view2,
    flow=ClipFlow(flow) if flow else None,
    mask=mask,
    repeats=config['repeats'] if train else 1,
    random_clips=train,
  )
