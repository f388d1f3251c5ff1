"""Temporal augmentation: a clip of the video at another speed or in reverse."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rvmae_jax.data.clips import CLIPS, Clip
from rvmae_jax.registry import check_range


class Playback:
  """Plays the video at another speed, with frames lost or out of time, or back.

  What is played is a video of its own, whose frames are drawn anew for every
  clip; the sampler takes its clip from that. Steps, gaps and `target_delta`
  count what is played, so every sampler can be wrapped. In evaluation, without
  a generator, the video is played as it is.

  Args:
    clip: config of the sampler, as `{'name': 'uniform', ...}`.
    speed: range of the speed, one for a clip, log-uniform: at 2 every second
      frame is played, at 0.5 every frame twice.
    skip: probability of each frame to be lost; the others close ranks.
    jitter_frames: each frame is replaced by one up to so many frames away, so
      that the strides of a clip differ; up to half of the sampler's stride
      times the least speed, the order of frames is kept.
    reverse: probability of playing backwards.

  Raises:
    ValueError: a number is out of range.
  """

  def __init__(
    self,
    clip: Mapping[str, Any],
    speed: tuple[float, float] = (1.0, 1.0),
    skip: float = 0.0,
    jitter_frames: int = 0,
    reverse: float = 0.0,
  ):
    check_range('playback.speed', speed)
    if not (0 <= skip < 1 and 0 <= reverse <= 1 and jitter_frames >= 0):
      raise ValueError(
        f'playback: skip={skip} must lie in [0, 1), reverse={reverse} in '
        f'[0, 1], and jitter_frames={jitter_frames} must not be negative.'
      )
    self.sample = CLIPS.build(clip)
    self.speed = speed
    self.skip = skip
    self.jitter_frames = jitter_frames
    self.reverse = reverse

  def __call__(
    self, timestamps_s: np.ndarray, rng: np.random.Generator | None = None
  ) -> Clip:
    """Draws a clip of what is played."""
    if rng is None:
      return self.sample(timestamps_s)
    played, played_s = self.play(timestamps_s, rng)
    clip = self.sample(played_s, rng)
    frames = {key: played[indices] for key, indices in clip.frames.items()}
    return Clip(frames, clip.entries)

  def play(
    self, timestamps_s: np.ndarray, rng: np.random.Generator
  ) -> tuple[np.ndarray, np.ndarray]:
    """The played frames' indices, and when each is shown, in seconds."""
    last = len(timestamps_s) - 1
    low, high = self.speed
    speed = low * (high / low) ** rng.random()
    positions = speed * np.arange(int(last / speed) + 1)
    shown_s = np.interp(positions, np.arange(last + 1), timestamps_s) / speed

    is_kept = rng.random(len(positions)) >= self.skip
    is_kept[0] |= not is_kept.any()  # At least one frame is left.
    played = positions[is_kept].astype(int)
    shown_s = shown_s[: len(played)]

    jitter = rng.integers(
      -self.jitter_frames, self.jitter_frames, len(played), endpoint=True
    )
    played = (played + jitter).clip(0, last)
    if rng.random() < self.reverse:
      # The clock runs on: the last frame is shown first, after no time.
      played, shown_s = played[::-1], shown_s[-1] - shown_s[::-1]
    return played, shown_s
