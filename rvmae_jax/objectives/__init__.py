"""What a model is trained for. An objective takes the model as a function.

`objective(apply, params, batch, rng=..., train=...) -> (loss, metrics)`, where
`apply(params, batch, train=..., rng=...)` gives the model's outputs and every
metric is a scalar. What else an objective needs of networks comes with each
call, too.
"""

import inspect

import ml_collections

from rvmae_jax.config_utils import token_size
from rvmae_jax.registry import Registry

OBJECTIVES = Registry(
  'objective',
  {
    'contrastive': 'rvmae_jax.objectives.contrastive:Contrastive',
    'masked_reconstruction': (
      'rvmae_jax.objectives.masked_reconstruction:MaskedReconstruction'
    ),
    'supervised': 'rvmae_jax.objectives.supervised:Supervised',
  },
)


def build_objective(config: ml_collections.ConfigDict):
  """The objective of a whole config: its `objective` and `losses`.

  Args:
    config: the whole config.

  Raises:
    ValueError: an unknown name or setting, or an objective that needs more of
      the model than `config.model` tells.
  """
  # What the model decides, for objectives that ask for it.
  given = {'losses': dict(config.losses), **token_size(config.model)}
  if 'num_classes' in config.model:
    given['num_classes'] = config.model.num_classes
  name = config.objective.name
  accepted = inspect.signature(OBJECTIVES.get(name)).parameters
  if 'num_classes' in accepted and 'num_classes' not in given:
    raise ValueError(
      f'Objective {name!r} needs a model with classes, not '
      f'{config.model.name!r}; use the model classifier with num_classes.'
    )
  return OBJECTIVES.build(
    config.objective,
    **{key: value for key, value in given.items() if key in accepted},
  )
