"""Losses of readouts, worked by hand; what has no truth changes nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvmae_jax.losses import readouts

NAN = np.nan


def test_depth_by_hand():
  """Errors 1 and 3 with one pixel unknown; then none known; then 2 and 0."""
  pred = jnp.array([[2.0, 9.0, 5.0], [1.0, 1.0, 1.0], [4.0, 1.0, 7.0]])
  target = jnp.array([[1.0, NAN, 2.0], [NAN, NAN, NAN], [2.0, 1.0, NAN]])
  np.testing.assert_allclose(readouts.l2(pred, target), [5.0, 0.0, 2.0])


def test_boxes_by_hand():
  """Two boxes, one frame: the errors of one are 1, the other was not there."""
  pred = jnp.arange(8.0).reshape(1, 2, 1, 4)
  target = jnp.array([[1.0, 2, 3, 4], [NAN] * 4]).reshape(1, 2, 1, 4)
  np.testing.assert_allclose(readouts.l2(pred, target), [1.0])


def test_l2_is_golden(shared_dir):
  golden = np.load(shared_dir / 'golden/readout/depth.npz')
  loss = readouts.l2(golden['out/depth'], golden['in/target']).mean()
  np.testing.assert_allclose(loss, golden['out/l2'], rtol=1e-5)


def test_unknown_depth_has_no_gradient():
  target = jnp.array([[1.0, NAN]])
  gradient = jax.grad(lambda pred: readouts.l2(pred, target).sum())
  np.testing.assert_allclose(gradient(jnp.array([[3.0, 7.0]])), [[4.0, 0.0]])


def terms(distances, visible, certain=0.0):
  """Losses of one point that is so many pixels off in each frame."""
  distances = np.array(distances, np.float32)
  true = np.full((1, 1, len(distances), 2), 0.5, np.float32)
  # 3-4-5 triangles: x and y are off together.
  offset = distances[:, None] * np.array([0.6, 0.8], np.float32) / 256
  visible = np.array([[visible]])
  logits = np.zeros(visible.shape, np.float32)
  true[~visible] = NAN
  return readouts.point_terms(
    jnp.array(0.5 + offset[None, None]),
    logits,
    logits + certain,
    true,
    visible,
  )


def test_huber_of_points_by_hand():
  # 2 px: half a square, 2; 10 px: 4 * (10 - 2) = 32; the third is hidden.
  loss = terms([2, 10, 99], [True, True, False])['huber']
  np.testing.assert_allclose(loss, [17], rtol=1e-4)


def test_certain_means_within_six_pixels():
  """At logit 2 the right answer costs log(1 + e^-2), the wrong one 2 more."""
  right = np.log1p(np.exp(-2))
  for distance, want in ((5.9, right), (6.1, right + 2)):
    loss = terms([distance, 0], [True, False], certain=2.0)['certain']
    np.testing.assert_allclose(loss, [want], rtol=1e-5)


def test_visible_counts_in_all_frames_and_distances_where_visible():
  both = terms([0, 0], [True, False])['visible']
  np.testing.assert_allclose(both, [np.log(2)], rtol=1e-6)
  hidden = terms([0, 0], [False, False])
  np.testing.assert_allclose(hidden.pop('visible'), [np.log(2)], rtol=1e-6)
  assert {name: float(loss[0]) for name, loss in hidden.items()} == {
    'huber': 0,
    'certain': 0,
  }


@pytest.mark.parametrize('distance', [0.0, 3.0, 50.0])
def test_gradients_of_points_are_finite_and_leave_hidden_ones_alone(distance):
  true = np.full((1, 1, 2, 2), 0.5, np.float32)
  true[0, 0, 1] = NAN

  def loss(pred):
    logits = jnp.zeros((1, 1, 2))
    visible = jnp.array([[[True, False]]])
    losses = readouts.point_terms(pred, logits, logits, true, visible)
    return sum(losses[name][0] for name in readouts.POINT_WEIGHTS)

  gradient = jax.grad(loss)(
    jnp.array([[[[0.5 + distance / 256, 0.5], [0.1, 0.2]]]])
  )
  # 256 times the distance, or times 4 px where that is less.
  want = [[256 * min(distance, 4), 0], [0, 0]]
  np.testing.assert_allclose(gradient[0, 0], want, rtol=1e-4)
