"""Masks, drawn on the host: which tokens a model sees, which it rebuilds.

A mask is built once with its settings and the patch grid, and called for every
clip:

  mask = MASKS.build({'name': 'target', 'ratio': 0.95}, grid=(16, 16))
  clip = mask(clip, rng)  # adds `ids_keep` and `ids_mask`

It may look at all of the clip (frames, motion) and must draw only from `rng`.
How many tokens it keeps is fixed by its settings, so that shapes are static;
settings that make no sense fail when the mask is built, before any video is
read. To add one: a file beside this one, built on `masking/tokens.py`, and a
line in the table.
"""

from rvmae_jax.registry import Registry

MASKS = Registry(
  'mask',
  {
    'target': 'rvmae_jax.masking.target:TargetMask',
  },
)
