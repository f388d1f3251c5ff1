"""LOCALIZATION_SETS: untrimmed videos with the times of what happens in them.

Each is a function of a subset's name, and of where it lies, that gives an
`untrimmed.LocalizationSet`.
"""

from rvmae_jax.registry import Registry

LOCALIZATION_SETS = Registry(
  'localization set',
  {
    'activitynet': 'rvmae_jax.data.localization.activitynet:activitynet',
    'sprites': 'rvmae_jax.data.localization.sprites:sprites',
    'thumos14': 'rvmae_jax.data.localization.thumos14:thumos14',
  },
)
