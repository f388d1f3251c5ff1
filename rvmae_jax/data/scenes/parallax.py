"""Drawn scenes that a moving camera sees; truth without a download."""

from rvmae_jax.data.records import NO_LABEL
from rvmae_jax.data.scenes.videos import BoxVideo, DepthVideo, PointVideo
from rvmae_jax.data.sprites.dataset import SPLITS
from rvmae_jax.data.sprites.parallax import (
  ParallaxConfig,
  ParallaxScene,
  make_scene,
)
from rvmae_jax.registry import check_known


class _Parallax:
  """Videos of `sprites.parallax`, drawn when they are asked for.

  Args:
    split: one of `sprites.dataset.SPLITS`; no two share a texture.
    num_videos: of the split.
    size: H and W of a frame, in pixels.
    num_frames: of a video.
    num_points: that are followed in each.
    seed: of everything.

  Raises:
    ValueError: an unknown split, or sizes that cannot be.
  """

  def __init__(
    self,
    split: str = 'train',
    num_videos: int = 100,
    size: int = 64,
    num_frames: int = 16,
    num_points: int = 32,
    seed: int = 0,
  ):
    check_known('split', SPLITS, split)
    self.config = ParallaxConfig(size, num_frames, num_points, seed)
    self._split, self._num_videos = split, num_videos

  def __len__(self) -> int:
    return self._num_videos

  def _draw(self, index: int) -> tuple[str, dict, ParallaxScene]:
    number = range(self._num_videos)[index]
    scene = make_scene(self.config, self._split, number)
    name = f'{self._split}/{number:05d}'
    path = f'parallax/seed_{self.config.seed}/{name}'
    return (
      name,
      {'path': path, 'label': NO_LABEL, 'frames': scene.frames},
      scene,
    )


class ParallaxPoints(_Parallax):
  """Points on both layers, which cover each other; see `_Parallax`."""

  def __getitem__(self, index: int) -> PointVideo:
    name, record, scene = self._draw(index)
    return PointVideo(name, record, scene.points, scene.visible)


class ParallaxBoxes(_Parallax):
  """Boxes of the shapes, as far as they are in the frame; see `_Parallax`."""

  def __getitem__(self, index: int) -> BoxVideo:
    name, record, scene = self._draw(index)
    return BoxVideo(name, record, scene.boxes)


class ParallaxDepth(_Parallax):
  """Depth of every pixel, which no single frame tells; see `_Parallax`."""

  def __getitem__(self, index: int) -> DepthVideo:
    name, record, scene = self._draw(index)
    return DepthVideo(name, record, list(scene.depth))
