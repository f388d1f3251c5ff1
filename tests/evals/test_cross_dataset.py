"""A head learned on one source and asked about another with its classes."""

import types

import numpy as np
import pytest
from ml_collections import ConfigDict

from rvmae_jax.evals import build_evals
from rvmae_jax.evals.description import describe
from rvmae_jax.evals.schedule import check_ready

_SETTINGS = {
  'attentive_probe': {
    'learning_rates': (1e-2,),
    'weight_decays': (0.0,),
    'num_epochs': 15,
    'width': 64,
  },
  'knn': {'k': 3, 'poolings': ('mean',)},
  'linear_probe': {'poolings': ('mean',)},
}


class _Halves:
  """Videos whose class is the half that is bright: the left, or the right."""

  def __init__(
    self, name, num_videos, class_names=('left', 'right'), is_swapped=False
  ):
    del name
    self.class_names = list(class_names)
    self._num_videos, self._is_swapped = num_videos, is_swapped

  def __len__(self):
    return self._num_videos

  def __getitem__(self, index):
    label = index % 2
    rng = np.random.default_rng([index, self._is_swapped])
    frames = rng.integers(0, 60, (4, 16, 16, 3), np.uint8)
    frames[:, :, :8] += np.uint8(150 * (label == self._is_swapped))
    frames[:, :, 8:] += np.uint8(150 * (label != self._is_swapped))
    return {'path': f'{index}', 'label': label, 'frames': frames}


@pytest.fixture
def _halves(monkeypatch):
  monkeypatch.setattr(
    'rvmae_jax.evals.videos.build_sources',
    lambda configs: [_Halves(**config) for config in configs.values()],
  )


def _build(name, **test):
  # No network is needed: frames of so few pixels are features themselves.
  entry = {
    'name': name,
    'encoders': ('pixels',),
    'train': {'sources': {'studio': {'name': 'halves', 'num_videos': 40}}},
    'test': {'sources': test},
    **_SETTINGS[name],
  }
  return build_evals(
    {'cross': entry},
    run_config=ConfigDict({'model': {'patch_size': 8}, 'data': {}}),
    shared={
      'clip': {'name': 'uniform', 'num_frames': 4},
      'crop': {'size': (16, 16), 'area': (1.0, 1.0), 'ratio': (1.0, 1.0)},
    },
    batch_size=8,
  )


@pytest.mark.parametrize('name', _SETTINGS)
def test_what_is_learned_on_one_source_is_asked_about_another(name, _halves):
  street = {'name': 'halves', 'num_videos': 10, 'is_swapped': True}
  evaluations = _build(name, street=street)
  check_ready(evaluations)
  functions = types.SimpleNamespace(cache={})
  metrics = evaluations['cross'].run(functions).metrics
  assert (metrics['num_train'], metrics['num_test']) == (40, 10)
  pooling = 'attentive' if name == 'attentive_probe' else 'mean'
  # There the other half is bright: what was learned on the first is wrong
  # every time, which neither guessing nor learning on the second would be.
  assert metrics[f'pixels/{pooling}/top1'] == 0
  lines = describe('cross', evaluations['cross']).splitlines()
  train, test = (
    lines.index('  train: 40 videos'),
    lines.index('  test: 10 videos'),
  )
  assert lines[train + 1].startswith('    studio: halves(')
  assert lines[test + 1].startswith('    street: halves(')


@pytest.mark.parametrize('name', _SETTINGS)
def test_a_source_with_other_classes_is_refused(name, _halves):
  street = {'name': 'halves', 'num_videos': 10, 'class_names': ('up', 'down')}
  message = (
    r"Label 0 is 'left' in config.evals.cross.train.sources.studio and 'up' in "
    'config.evals.cross.test.sources.street'
  )
  with pytest.raises(ValueError, match=message):
    check_ready(_build(name, street=street))
