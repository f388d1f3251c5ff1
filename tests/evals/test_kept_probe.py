"""Linear probes that an evaluation keeps answer again as they did."""

import numpy as np
import pytest

from rvmae_jax.evals import kept_probe
from rvmae_jax.evals.features import FeatureSet
from rvmae_jax.evals.linear_probe import LinearProbeEval
from rvmae_jax.evals.videos import Videos


def _videos():
  return Videos(
    sources={'noise': {'name': 'fake', 'num_classes': 2}},
    clip={'name': 'uniform', 'num_frames': 4},
    crop={'size': (8, 8)},
    patch_size=8,
    batch_size=8,
    seed=0,
  )


@pytest.fixture(
  name='probe',
  params=[{}, {'solver': 'sgd', 'num_epochs': 5, 'weight_decays': (0.0,)}],
  ids=['lbfgs', 'sgd'],
)
def _probe(request):
  poolings = 'mean', 'mean_std_4'
  return LinearProbeEval(
    train=_videos(), test=_videos(), poolings=poolings, **request.param
  )


def test_kept_probes_give_the_probabilities_of_the_evaluation(probe, tmp_path):
  rng = np.random.default_rng(0)
  labels = rng.choice([1, 4, 6], 30)
  # Test clips: [B, t, N, D] features.
  features = rng.normal(3, 2, (10, 4, 5, 6)).astype(np.float32)
  frames = features.mean(2)
  pooled = {
    'mean': frames.mean(1),
    'mean_std_4': np.concatenate([frames.mean(1), frames.std(1)], 1),
  }
  train = {
    name: rng.normal(2, 3, (30, array.shape[1])).astype(np.float32)
    for name, array in pooled.items()
  }
  pair = (
    FeatureSet({'trained': train}, labels),
    FeatureSet({'trained': pooled}, labels[:10]),
  )
  answers = probe.answer_pairs([pair])
  arrays = probe.count(answers).arrays
  np.savez(tmp_path / 'arrays.npz', **arrays)
  with pytest.raises(
    ValueError, match='choose one of its poolings: mean, mean_'
  ):
    kept_probe.read(tmp_path)
  for name in pooled:
    kept = kept_probe.read(tmp_path, name)
    assert (kept.classes.tolist(), kept.num_frames) == ([1, 4, 6], 4)
    assert kept.class_names == ['class_0', 'class_1', *'23456']
    logits = np.asarray(kept.logits(features, tubelet_size=1))
    odds = np.exp(logits - logits.max(1, keepdims=True))
    want = answers.given[f'trained/{name}'][0].probabilities[:, [1, 4, 6]]
    np.testing.assert_allclose(
      odds / odds.sum(1, keepdims=True), want, atol=1e-4
    )


def test_results_without_a_probe_say_what_to_do(tmp_path):
  np.savez(tmp_path / 'arrays.npz', labels=np.arange(3))
  with pytest.raises(
    ValueError, match=r'arrays\.npz has no linear probe.*again'
  ):
    kept_probe.read(tmp_path)
  with pytest.raises(FileNotFoundError, match=r'nowhere'):
    kept_probe.read(tmp_path / 'nowhere.npz')
