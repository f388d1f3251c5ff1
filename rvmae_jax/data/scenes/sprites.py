"""Moving sprites with their points and boxes.

The frame of these videos is a torus: what leaves on one side comes in on the
other, and so do points. Scenes where nothing does are in `parallax`.
"""

import numpy as np

from rvmae_jax.data.scenes.videos import BoxVideo, PointVideo
from rvmae_jax.data.sources.moving_sprites import MovingSprites


class _Sprites:
  """Videos of sprites in front of each other and of a background.

  Args:
    split: see `MovingSprites`.
    num_videos: of the split; 0 means its usual number.
    **settings: others of `MovingSprites`.
  """

  def __init__(self, split: str = 'train', num_videos: int = 0, **settings):
    self._sprites = MovingSprites(split, num_videos, **settings)

  def __len__(self) -> int:
    return len(self._sprites)

  def _read(self, index: int, *names: str) -> tuple[str, str, list[np.ndarray]]:
    """Name, path and some of the truth of a video."""
    path = self._sprites.paths[index]
    truth = self._sprites.truth(index)
    return path.stem, str(path), [truth[name] for name in names]


class SpritePoints(_Sprites):
  """The centre and four points of each sprite; see `_Sprites`."""

  def __getitem__(self, index: int) -> PointVideo:
    name, path, (points, visible) = self._read(index, 'keypoints', 'visible')
    # [T, S, 5, 2] -> [T, S*5, 2] -> [S*5, T, 2]
    points = points.reshape(len(points), -1, 2).swapaxes(0, 1)
    visible = visible.reshape(len(visible), -1).T
    size = np.float32(self._sprites.config.size)
    return PointVideo(name, path, points / size, visible)


class SpriteBoxes(_Sprites):
  """The boxes of the sprites, hidden parts too; see `_Sprites`."""

  def __getitem__(self, index: int) -> BoxVideo:
    name, path, (boxes,) = self._read(index, 'boxes')
    # x0, y0, x1, y1 of each frame -> y1, x1, y2, x2 of each sprite
    boxes = boxes[..., [1, 0, 3, 2]].swapaxes(0, 1)
    size = np.float32(self._sprites.config.size)
    return BoxVideo(name, path, boxes / size)
