"""A comparison of two runs of seconds."""

import pathlib

from ml_collections import ConfigDict

ROOT = pathlib.Path(__file__).parents[2]
RECIPE = str(ROOT / 'tests/tiny_recipe.py')
ACCURACY = 'probe/trained/mean/top1'


def comparison(**changes) -> ConfigDict:
  return ConfigDict(
    {
      'methods': {'rvm': {'recipe': RECIPE}, 'other': {'recipe': RECIPE}},
      'seeds': (0, 1),
      'budget': {'unit': 'clips', 'amount': 80.0},
      'measure_s': 1.0,
      'shared': {'batch_size': 16},
      'evaluation': {'seed': 0, 'batch_size': 8, 'data': {}, 'evals': {}},
      'columns': ((ACCURACY, 'probe'),),
      **changes,
    }
  )
