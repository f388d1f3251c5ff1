"""Several views of one video, cut out of a longer and wider clip."""

import dataclasses

import numpy as np

from rvmae_jax.data.clips import unwrapped
from rvmae_jax.evals.videos import Videos


@dataclasses.dataclass(frozen=True)
class Views:
  """Cuts clips in time and space; VideoMAE's 5 x 3 are `Views(5, 3)`.

  They are cut out of one longer and wider clip. VideoMAE's on Kinetics, of 16
  frames and 224 pixels, take `clip={'name': 'uniform', 'num_frames': 16,
  'num_clips': 5, ...}`, which starts clips from the first possible frame to the
  last, and `crop={'size': (224, 400)}`.

  Attributes:
    num_clips: equal parts in time.
    num_crops: squares from the left to the right edge (or from top to bottom).
    is_spread: whether the frames are one clip spread over the video; every
      `num_clips`-th frame is then a part, so that each spans the whole.
  """

  num_clips: int = 1
  num_crops: int = 1
  is_spread: bool = False

  def __post_init__(self):
    if min(self.num_clips, self.num_crops) < 1:
      raise ValueError(
        f'num_clips={self.num_clips} and num_crops={self.num_crops} must be at '
        'least 1.'
      )

  @classmethod
  def of(cls, videos: Videos, num_clips: int, num_crops: int) -> 'Views':
    """Views of the clips that an evaluation reads.

    Raises:
      ValueError: the sampler gives another number of clips than is asked for,
        or all crops would be the same.
    """
    clip = unwrapped(videos.clip)
    sampled = clip.get('num_clips', 1)
    if sampled not in (1, num_clips):
      raise ValueError(
        f'data.clip.num_clips={sampled} differs from num_clips={num_clips} of '
        'the evaluation; set both to the same number.'
      )
    if num_crops > 1 and len({*videos.size}) == 1:
      raise ValueError(
        f'num_crops={num_crops} does nothing with the square frames of '
        f'data.crop.size={videos.size}; make one side of them longer.'
      )
    is_strided = clip.get('stride', 0) or clip.get('step_s', 0)
    return cls(num_clips, num_crops, not is_strided and sampled == 1)

  def __len__(self) -> int:
    return self.num_clips * self.num_crops

  def cut(self, video: np.ndarray) -> list[np.ndarray]:
    """The views of clips [B, T, H, W, 3], each with T / num_clips frames.

    Raises:
      ValueError: the clips are not as many times longer than a view.
    """
    if video.shape[1] % self.num_clips:
      raise ValueError(
        f'{video.shape[1]} frames cannot be cut into num_clips='
        f'{self.num_clips} equal clips; set data.clip.num_frames to a multiple.'
      )
    if self.is_spread:
      clips = [video[:, i :: self.num_clips] for i in range(self.num_clips)]
    else:
      clips = np.split(video, self.num_clips, axis=1)
    return [view for clip in clips for view in self._crops(clip)]

  def _crops(self, clip: np.ndarray) -> list[np.ndarray]:
    if self.num_crops == 1:
      return [clip]
    height, width = clip.shape[2:4]
    side, axis = min(height, width), 2 if height > width else 3
    starts = np.linspace(0, max(height, width) - side, self.num_crops)
    return [
      clip.take(range(start, start + side), axis)
      for start in starts.round().astype(int)
    ]
