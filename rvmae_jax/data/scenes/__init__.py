"""Videos whose points, boxes or depth are known; what readout heads learn.

A dataset of these tables has `len(dataset)` and `dataset[i]`, which is a
`PointVideo`, `BoxVideo` or `DepthVideo` (see `videos.py`).
"""

from rvmae_jax.registry import Registry

POINTS = Registry(
  'point dataset',
  {
    'parallax': 'rvmae_jax.data.scenes.parallax:ParallaxPoints',
    'perception_test': (
      'rvmae_jax.data.scenes.perception_test:PerceptionTestPoints'
    ),
    'sprites': 'rvmae_jax.data.scenes.sprites:SpritePoints',
    'tap_vid': 'rvmae_jax.data.scenes.tap_vid:TapVid',
  },
)
BOXES = Registry(
  'box dataset',
  {
    'parallax': 'rvmae_jax.data.scenes.parallax:ParallaxBoxes',
    'perception_test': (
      'rvmae_jax.data.scenes.perception_test:PerceptionTestBoxes'
    ),
    'sprites': 'rvmae_jax.data.scenes.sprites:SpriteBoxes',
    'waymo': 'rvmae_jax.data.scenes.waymo:WaymoBoxes',
  },
)
DEPTH = Registry(
  'depth dataset',
  {
    'parallax': 'rvmae_jax.data.scenes.parallax:ParallaxDepth',
    'scannet': 'rvmae_jax.data.scenes.scannet:ScanNet',
  },
)
