"""A network that learned nothing stands between chance and knowing all."""

import numpy as np
import pytest

from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.linear_probe import LinearProbeEval
from rvmae_jax.evals.retrieval import RetrievalEval
from rvmae_jax.evals.videos import Videos
from rvmae_jax.models import build_model


@pytest.mark.slow
def test_a_random_network_tells_some_motions_apart(tmp_path):
  data = {
    'sources': {
      'sprites': {
        'name': 'moving_sprites',
        'split': 'probe_train',
        'num_videos': 192,
        'cache_dir': str(tmp_path),
        'num_workers': 1,
      }
    },
    'clip': {'name': 'uniform', 'num_frames': 16},
    'crop': {'size': (32, 32)},
  }
  train = Videos(**data, patch_size=8, batch_size=32)
  source = {**data['sources']['sprites'], 'split': 'probe_test'}
  source['num_videos'] = 96
  test = train.replace(sources={'sprites': source})
  network = build_model({'name': 'rvm', 'variant': 'tiny', 'patch_size': 8})
  functions = ModelFunctions(network, params={})
  probe = LinearProbeEval(train=train, test=test, encoders=('random',))
  retrieval = RetrievalEval(train=train, test=test, encoders=('random',))
  accuracy = probe.run(functions).metrics['random/mean_std_8/top1']
  chance = 1 / 12
  # Three standard errors above chance, and far from all.
  assert chance + 3 * np.sqrt(chance * (1 - chance) / 96) < accuracy < 0.8
  found = retrieval.run(functions).metrics
  assert found['chance/map'] < found['random/mean_std_8/map'] < 0.8
