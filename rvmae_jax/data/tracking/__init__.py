"""TRACKING: videos whose labels follow what moves, for label propagation.

A dataset of this table has `len(dataset)` and `dataset[i] -> TrackedVideo`, and
says how it is measured:

    kind: 'objects' (J and F), 'parts' (mean IoU of classes) or 'keypoints'
      (PCK).
    size: (height, width) of the frames that networks see, by custom.
    top_k: places that a label is taken from, by custom.
"""

from rvmae_jax.registry import Registry

TRACKING = Registry(
  'tracking dataset',
  {
    'davis': 'rvmae_jax.data.tracking.davis:Davis',
    'folder': 'rvmae_jax.data.tracking.folder:TrackedFolder',
    'jhmdb': 'rvmae_jax.data.tracking.jhmdb:Jhmdb',
    'sprites': 'rvmae_jax.data.tracking.sprites:TrackedSprites',
    'vip': 'rvmae_jax.data.tracking.vip:Vip',
  },
)
