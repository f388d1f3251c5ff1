"""What a model is trained for. An objective is handed the model as a function.

`objective(apply, params, batch, rng=..., train=...) -> (loss, metrics)`, where
`apply(params, batch, train=..., rng=...)` gives the model's outputs and every
metric is a scalar.
"""

import ml_collections

from rvmae_jax.registry import Registry

OBJECTIVES = Registry(
  'objective',
  {
    'masked_reconstruction': (
      'rvmae_jax.objectives.masked_reconstruction:MaskedReconstruction'
    )
  },
)


def build_objective(config: ml_collections.ConfigDict):
  """The objective of a whole config: its `objective`, `losses`, patch size."""
  return OBJECTIVES.build(
    config.objective,
    losses=dict(config.losses),
    patch_size=config.model.patch_size,
  )
