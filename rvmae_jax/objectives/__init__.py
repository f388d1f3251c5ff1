"""What a model is trained for. An objective is handed the model as a function.

`objective(apply, params, batch, rng=..., train=...) -> (loss, metrics)`, where
`apply(params, batch, train=..., rng=...)` gives the model's outputs and every
metric is a scalar.
"""

import inspect

import ml_collections

from rvmae_jax.config_utils import token_size
from rvmae_jax.registry import Registry

OBJECTIVES = Registry(
  'objective',
  {
    'masked_reconstruction': (
      'rvmae_jax.objectives.masked_reconstruction:MaskedReconstruction'
    ),
    'supervised': 'rvmae_jax.objectives.supervised:Supervised',
  },
)


def build_objective(config: ml_collections.ConfigDict):
  """The objective of a whole config: its `objective` and `losses`.

  The size of a patch is the model's, for objectives that ask for it.
  """
  given = {'losses': dict(config.losses), **token_size(config.model)}
  accepted = inspect.signature(OBJECTIVES.get(config.objective.name)).parameters
  return OBJECTIVES.build(
    config.objective,
    **{name: value for name, value in given.items() if name in accepted},
  )
