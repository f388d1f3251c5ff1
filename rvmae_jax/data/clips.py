"""Which frames of a video make a clip.

A sampler is a pure function of the video's timestamps and a random generator;
without a generator it gives the one clip that evaluations use. It counts in
*steps*: every `stride`-th frame or, with `step_s`, the frame nearest to each
multiple of `step_s` seconds, so that videos of any frame rate move alike.

Short videos: first the range of gaps shrinks to what the video holds (never
below its lower end); a video too short even for that is played forwards and
backwards in turn, so every clip has all of its frames.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from rvmae_jax.batch import MAX_DELTA
from rvmae_jax.registry import Registry

CLIPS = Registry(
  'clip sampler',
  {
    'source_target': 'rvmae_jax.data.clips:SourceTarget',
    'uniform': 'rvmae_jax.data.clips:Uniform',
    # Wrappers: their argument `clip` is the config of another sampler.
    'two_views': 'rvmae_jax.data.clips:TwoViews',
    'playback': 'rvmae_jax.data.playback:Playback',
  },
)


def unwrapped(clip: Mapping[str, Any]) -> Mapping[str, Any]:
  """The config of the sampler inside of wrappers."""
  while 'clip' in clip:
    clip = clip['clip']
  return clip


@dataclasses.dataclass(frozen=True)
class Clip:
  """Frame indices by image key, and other entries of a batch.

  Image keys are `video`, `target` and `view2`; a second view is augmented by a
  draw of its own, all else by one.
  """

  frames: dict[str, np.ndarray]
  entries: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)


class SourceTarget:
  """K consecutive source frames, and S target frames after the last of them.

  Each target's gap is drawn by itself from `gap`; then the clip's start is
  drawn among all places where it fits. Source: RVM (arXiv 2512.13684).

  Args:
    num_source: K.
    num_target: S.
    stride: frames in a step.
    step_s: seconds in a step; replaces `stride` if greater than 0.
    gap: least and greatest number of steps from the last source frame to a
      target; evaluation spreads its targets evenly between the two.
    gaps: S fixed gaps in place of random ones, kept even in short videos.
    warm_up: times that the first source frame is shown before it counts, so
      that a recurrent state has settled when the clip begins.

  Raises:
    ValueError: the settings contradict each other, or a target could lie
      `MAX_DELTA` steps or more after the first source frame.
  """

  def __init__(
    self,
    num_source: int = 4,
    num_target: int = 4,
    stride: int = 1,
    step_s: float = 0.0,
    gap: tuple[int, int] = (4, 48),
    gaps: tuple[int, ...] = (),
    warm_up: int = 0,
  ):
    _check_counts(num_source=num_source, num_target=num_target)
    if warm_up < 0:
      raise ValueError(f'clip.warm_up={warm_up} must be 0 or more.')
    if gaps and len(gaps) != num_target:
      raise ValueError(
        f'clip.gaps={tuple(gaps)} has {len(gaps)} entries for '
        f'clip.num_target={num_target}; give one gap for each target.'
      )
    low, high = (min(gaps), max(gaps)) if gaps else gap
    if not 0 < low <= high:
      raise ValueError(
        f'Gaps from {low} to {high} steps: they must be positive and the first '
        'not greater than the second.'
      )
    if num_source - 1 + high >= MAX_DELTA:
      raise ValueError(
        f'A gap of {high} after {num_source} source frames puts a target '
        f'{num_source - 1 + high} steps after the first; fewer than '
        f'{MAX_DELTA} are supported. Use gaps up to {MAX_DELTA - num_source}.'
      )
    self.num_source = num_source
    self.num_target = num_target
    self.warm_up = warm_up
    self.grid = StepGrid(stride, step_s)
    self.gap = (low, high)
    self.gaps = np.array(gaps, int) if gaps else None

  def __call__(
    self, timestamps_s: np.ndarray, rng: np.random.Generator | None = None
  ) -> Clip:
    """Draws a clip: `video` [warm_up + K], `target` and `target_delta` [S]."""
    gaps = self._gaps(self.grid.num_steps(timestamps_s), rng)
    delta = self.num_source - 1 + gaps
    again = np.zeros(self.warm_up, int)
    steps = np.concatenate([again, np.arange(self.num_source), delta])
    frames = self.grid.place(steps, timestamps_s, rng)
    num_shown = self.warm_up + self.num_source
    return Clip(
      frames={'video': frames[:num_shown], 'target': frames[num_shown:]},
      entries={'target_delta': delta.astype(np.int32)},
    )

  def _gaps(self, num_steps: int, rng) -> np.ndarray:
    if self.gaps is not None:
      return self.gaps
    low, high = self.gap
    high = max(low, min(high, num_steps - self.num_source))
    if rng is None:
      return np.linspace(low, high, self.num_target).round().astype(int)
    return rng.integers(low, high, self.num_target, endpoint=True)


class Uniform:
  """`num_frames` frames, spread over the whole video or one step apart.

  Args:
    num_frames: T.
    stride: frames in a step; 0 spreads the frames over the video: one at
      random from each of T equal parts, its middle frame in evaluation.
    step_s: seconds in a step; replaces `stride` if greater than 0.
    num_clips: of T frames each, one after the other in `video`. At a stride
      their starts are drawn, and in evaluation lie evenly from the first at
      which a clip fits to the last: they overlap in a short video, and in one
      too short for a clip all are the same. Of frames that are spread over the
      video, num_clips * T in all, each clip has every `num_clips`-th.

  Raises:
    ValueError: a number is out of range.
  """

  def __init__(
    self,
    num_frames: int,
    stride: int = 0,
    step_s: float = 0.0,
    num_clips: int = 1,
  ):
    _check_counts(num_frames=num_frames, num_clips=num_clips)
    self.num_frames = num_frames
    self.num_clips = num_clips
    self.grid = StepGrid(stride or 1, step_s) if stride or step_s else None

  def __call__(
    self, timestamps_s: np.ndarray, rng: np.random.Generator | None = None
  ) -> Clip:
    """Draws a clip with `video` [num_clips * T]."""
    if self.grid is not None:
      steps = np.arange(self.num_frames)
      frames = self.grid.place(steps, timestamps_s, rng, self.num_clips)
    else:
      num_parts = self.num_clips * self.num_frames
      within = 0.5 if rng is None else rng.random(num_parts)
      parts = (np.arange(num_parts) + within) / num_parts
      frames = (parts * len(timestamps_s)).astype(int)
      # [T * num_clips] -> [num_clips * T]
      frames = frames.reshape(-1, self.num_clips).T.reshape(-1)
    return Clip(frames={'video': frames})


class TwoViews:
  """Two clips of one video at independent times, for contrastive learning.

  Each view is augmented by a draw of its own; evaluation gives the same clip
  twice.

  Args:
    clip: config of the sampler of both; targets are those of the first.
  """

  def __init__(self, clip: Mapping[str, Any]):
    self.sample = CLIPS.build(clip)

  def __call__(
    self, timestamps_s: np.ndarray, rng: np.random.Generator | None = None
  ) -> Clip:
    """Draws a clip of the sampler, and with it `view2`, another's `video`."""
    first, second = (self.sample(timestamps_s, rng) for _ in range(2))
    frames = first.frames | {'view2': second.frames['video']}
    return Clip(frames, first.entries)


@dataclasses.dataclass(frozen=True)
class StepGrid:
  """Turns steps into frame indices.

  Attributes:
    stride: frames in a step.
    step_s: seconds in a step; replaces `stride` if greater than 0.
  """

  stride: int = 1
  step_s: float = 0.0

  def __post_init__(self):
    _check_counts(stride=self.stride)
    if self.step_s < 0:
      raise ValueError(f'clip.step_s={self.step_s} must not be negative.')
    if self.step_s and self.stride != 1:
      raise ValueError(
        f'clip.stride={self.stride} counts frames and clip.step_s='
        f'{self.step_s} seconds: set one of them.'
      )

  def num_steps(self, timestamps_s: np.ndarray) -> int:
    """How many steps the video holds, its first frame included."""
    positions, step = self._axis(timestamps_s)
    return int(positions[-1] / step + _ROUNDING) + 1

  def place(
    self,
    steps: np.ndarray,
    timestamps_s: np.ndarray,
    rng: np.random.Generator | None,
    num_clips: int = 1,
  ) -> np.ndarray:
    """Frame indices of `steps` from a start at which they fit.

    The start is drawn from `rng`; without one it is the middle of all possible
    starts. Where nothing fits, the video plays back and forth from its start.

    Args:
      steps: [n] from 0.
      timestamps_s: of the video's frames.
      rng: or None, in evaluation.
      num_clips: as many starts; without `rng` evenly from the first to the last
        of all that are possible.

    Returns:
      [num_clips * n], clip after clip.
    """
    positions, step = self._axis(timestamps_s)
    end = positions[-1]
    last_start = end - steps.max() * step
    num_starts = max(1, np.sum(positions <= last_start + _ROUNDING))
    possible = positions[:num_starts]
    if rng is not None:
      starts = rng.integers(num_starts, size=num_clips)
    elif num_clips == 1:
      starts = np.array([(num_starts - 1) // 2])
    else:
      starts = _nearest(possible, np.linspace(0, possible[-1], num_clips))
    # [num_clips, n] -> [num_clips * n]
    wanted = (possible[starts, None] + steps * step).reshape(-1)
    if wanted.max() > end + _ROUNDING:
      wanted = end - np.abs(end - wanted % (2 * end)) if end else wanted * 0
    return _nearest(positions, wanted)

  def _axis(self, timestamps_s: np.ndarray) -> tuple[np.ndarray, float]:
    """Positions of the frames, from 0, and the length of a step."""
    if self.step_s:
      return timestamps_s - timestamps_s[0], self.step_s
    return np.arange(len(timestamps_s)), self.stride


# Timestamps are sums of fractions of a second: 3 * 0.1 must not miss 0.3.
_ROUNDING = 1e-6


def _nearest(positions: np.ndarray, wanted: np.ndarray) -> np.ndarray:
  """Index of the nearest position for each wanted one; the earlier of two."""
  right = np.searchsorted(positions, wanted).clip(1, max(1, len(positions) - 1))
  right = np.minimum(right, len(positions) - 1)
  left = np.maximum(right - 1, 0)
  is_left = wanted - positions[left] <= positions[right] - wanted
  return np.where(is_left, left, right)


def _check_counts(**counts: int) -> None:
  for name, count in counts.items():
    if count < 1:
      raise ValueError(f'clip.{name}={count} must be at least 1.')
