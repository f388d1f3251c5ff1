"""Videos whose points, boxes or depth are known; what readout heads learn.

A dataset of these tables has `len(dataset)` and `dataset[i]`, which is a
`PointVideo`, `BoxVideo` or `DepthVideo` (see `videos.py`).
"""

from rvmae_jax.registry import Registry

POINTS = Registry(
  'point dataset',
  {
    'perception_test': (
      'rvmae_jax.data.scenes.perception_test:PerceptionTestPoints'
    ),
    'tap_vid': 'rvmae_jax.data.scenes.tap_vid:TapVid',
  },
)
BOXES = Registry(
  'box dataset',
  {
    'perception_test': (
      'rvmae_jax.data.scenes.perception_test:PerceptionTestBoxes'
    ),
    'waymo': 'rvmae_jax.data.scenes.waymo:WaymoBoxes',
  },
)
DEPTH = Registry(
  'depth dataset',
  {'scannet': 'rvmae_jax.data.scenes.scannet:ScanNet'},
)
