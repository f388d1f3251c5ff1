"""LOCALIZATION_SETS: untrimmed videos with the times of what happens in them.

Each is a function of where the videos lie, and which of them are wanted; it
gives an `untrimmed.LocalizationSet`.
"""

from rvmae_jax.registry import Registry

LOCALIZATION_SETS = Registry(
  'localization set',
  {
    'activitynet': 'rvmae_jax.data.localization.activitynet:activitynet',
    'composed': 'rvmae_jax.data.localization.composed:composed',
    'sprites': 'rvmae_jax.data.localization.sprites:sprites',
    'thumos14': 'rvmae_jax.data.localization.thumos14:thumos14',
  },
)
