"""Moving sprites with their masks or keypoints: tracking without a download."""

import numpy as np

from rvmae_jax.data.sources.moving_sprites import MovingSprites
from rvmae_jax.data.tracking.videos import TrackedVideo

_LABELS = {'masks': 'objects', 'keypoints': 'keypoints'}


class TrackedSprites:
  """Videos of sprites that cross a busy background.

  Args:
    labels: 'masks', one number for each sprite; or 'keypoints', the centre and
      four points of each, not visible where something covers them.
    split: see `MovingSprites`.
    num_videos: of the split.
    size: H and W of a frame. Tracking means something from 8x8 patches up.
    num_frames: of a video.
    num_sprites: in a video.
    background: 'plain' or 'busy'.
    **settings: others of `MovingSprites`.

  Raises:
    ValueError: unknown labels, or what `MovingSprites` raises.
  """

  top_k = 7

  def __init__(
    self,
    labels: str = 'masks',
    split: str = 'test',
    num_videos: int = 12,
    size: int = 64,
    num_frames: int = 24,
    num_sprites: int = 2,
    background: str = 'busy',
    **settings,
  ):
    if labels not in _LABELS:
      raise ValueError(
        f'sprites: labels={labels!r} is not one of {list(_LABELS)}.'
      )
    self.kind = _LABELS[labels]
    self.size = (size, size)
    self._sprites = MovingSprites(
      split,
      num_videos,
      size=size,
      num_frames=num_frames,
      num_sprites=num_sprites,
      background=background,
      **settings,
    )

  def __len__(self) -> int:
    return len(self._sprites)

  def __getitem__(self, index: int) -> TrackedVideo:
    path = self._sprites[index]['path']
    truth = self._sprites.truth(index)
    labels = truth['masks']
    if self.kind == 'keypoints':
      seen = truth['visible'][..., None]  # [T, S, 5, 1]
      labels = np.where(seen, truth['keypoints'], np.nan)
      labels = labels.reshape(len(labels), -1, 2)  # [T, S*5, 2]
    name = self._sprites.paths[index].stem
    return TrackedVideo(name, path, dict(enumerate(labels)))
