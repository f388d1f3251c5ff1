import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from rvmae_jax.losses.classification import smooth_labels
from rvmae_jax.objectives import build_objective
from rvmae_jax.objectives.supervised import Supervised


def run(logits, label, **options):
  objective = Supervised(
    {'cross_entropy': 2.0}, num_classes=len(logits[0]), **options
  )
  batch = {
    'video': np.zeros((len(label), 1, 4, 4, 3), np.uint8),
    'label': np.array(label),
  }
  return objective(
    lambda params, batch, **_: {'logits': jnp.array(logits)},
    None,
    batch,
    rng=jax.random.key(0),
    train=True,
  )


def test_cross_entropy_and_accuracy_by_hand():
  # Probabilities (1/4, 3/4): -log(3/4) if the class is 1, -log(1/4) if it is 0.
  logits = [[0.0, np.log(3)], [0.0, np.log(3)]]
  loss, metrics = run(logits, [1, 0])
  want = -(np.log(3 / 4) + np.log(1 / 4)) / 2
  assert metrics['cross_entropy'] == pytest.approx(want, rel=1e-6)
  assert loss == pytest.approx(2 * want, rel=1e-6)
  assert metrics['accuracy'] == 0.5


def test_clips_without_a_label_count_for_nothing():
  with_label, _ = run([[1.0, 2.0]], [1])
  both, metrics = run([[1.0, 2.0], [9.0, -9.0]], [1, -1])
  assert both == pytest.approx(float(with_label), rel=1e-6)
  assert metrics['accuracy'] == 1.0
  assert metrics['num_counted'] == 1


def test_smoothing_by_hand():
  smooth = smooth_labels(jnp.array([2]), 4, 0.2)
  np.testing.assert_allclose(smooth, [[0.05, 0.05, 0.85, 0.05]], rtol=1e-6)


def test_mixing_changes_what_the_model_sees_and_is_told():
  """Two classes, always mixed: neither is certain any more."""
  logits = [[5.0, -5.0], [-5.0, 5.0]]
  plain, _ = run(logits, [0, 1])
  mixed, _ = run(logits, [0, 1], mixing={'mixup': 1.0, 'cutmix': 0.0})
  assert mixed > plain + 0.1


def test_a_model_without_classes_is_answered():
  config = ConfigDict(
    {
      'model': {'name': 'rvm', 'patch_size': 8},
      'losses': {'cross_entropy': 1.0},
      'objective': {'name': 'supervised'},
    }
  )
  with pytest.raises(ValueError, match='use the model classifier'):
    build_objective(config)


@pytest.mark.parametrize('losses', [{}, {'info_nce': 1.0}])
def test_losses_that_train_nothing_are_refused(losses):
  with pytest.raises(
    ValueError, match=r'; this objective takes cross_entropy\.'
  ):
    Supervised(losses, num_classes=3)


@pytest.mark.parametrize('train', [True, False])
def test_the_model_sees_mixed_clips_while_it_trains(train):
  """Beta(1e6, 1e6) is a half: black and 200 become 100."""
  seen = []

  def apply(params, batch, **_):
    del params
    seen.append(np.asarray(batch['video']))
    return {'logits': jnp.zeros((2, 2))}

  video = np.zeros((2, 1, 4, 4, 3), np.uint8)
  video[1] = 200
  mixing = {'mixup': 1e6, 'cutmix': 0.0}
  objective = Supervised({'cross_entropy': 1.0}, num_classes=2, mixing=mixing)
  batch = {'video': video, 'label': np.array([0, 1])}
  objective(apply, None, batch, rng=jax.random.key(0), train=train)
  wanted = np.full_like(video, 100) if train else video
  np.testing.assert_allclose(np.float32(seen[0]), wanted, atol=1)
