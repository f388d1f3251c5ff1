"""Propagation against golden values, and by what each rule does alone."""

import numpy as np
import pytest

from rvmae_jax.evals.tracking.propagation import Propagation, compiled_step
from rvmae_jax.memory import planned_bytes
from tests.golden import plain_tracking


def propagate(propagation, features, labels, grid):
  """Soft labels [T, N, C] of features [T, N, D], given those of frame 0."""
  context = propagation.start(features[0], labels)
  step = compiled_step(propagation, grid, features.shape[-1], labels.shape[-1])
  found = [labels]
  for places in features[1:]:
    context, soft = step(context, places)
    found.append(np.asarray(soft))
  return np.stack(found)


@pytest.mark.parametrize('case', ['wide_radius', 'narrow_radius'])
def test_golden_soft_labels(shared_dir, case):
  golden = np.load(shared_dir / 'golden/propagation/cases.npz')
  features, soft = (golden[f'{case}/{key}'] for key in ('features', 'soft'))
  num_previous, top_k, radius, temperature = golden[f'{case}/params']
  grid = features.shape[1:3]
  found = propagate(
    # A number that does not divide the places.
    Propagation(
      int(num_previous), radius, int(top_k), temperature, places_at_once=48
    ),
    features.reshape(len(features), -1, features.shape[-1]),
    golden[f'{case}/heatmap'].reshape(-1, soft.shape[-1]),
    grid,
  )
  np.testing.assert_allclose(found.reshape(soft.shape), soft, atol=1e-5)


@pytest.mark.parametrize(
  ('num_previous', 'top_k', 'radius'), [(20, 7, 20.0), (2, 5, 2.5), (3, 1, 1.0)]
)
def test_soft_labels_of_the_plain_transcription(num_previous, top_k, radius):
  rng = np.random.default_rng(0)
  features = rng.standard_normal((6, 4, 5, 6)).astype(np.float32)
  labels = rng.dirichlet(np.ones(3), (4, 5)).astype(np.float32)
  want = plain_tracking.propagate(
    features, labels, num_previous, top_k, radius, temperature=0.3
  )
  found = propagate(
    Propagation(num_previous, radius, top_k, 0.3, places_at_once=6),
    features.reshape(6, 20, -1),
    labels.reshape(20, -1),
    (4, 5),
  )
  np.testing.assert_allclose(found.reshape(want.shape), want, atol=1e-5)


GRID = (3, 4)
ONE_OF_EACH = np.eye(12, dtype=np.float32)


def test_a_still_video_keeps_its_labels():
  features = np.broadcast_to(ONE_OF_EACH, (4, 12, 12))
  labels = np.random.default_rng(0).random((12, 2), np.float32)
  sharp = Propagation(num_previous=2, top_k=1)
  found = propagate(sharp, features, labels, GRID)
  np.testing.assert_allclose(found, np.broadcast_to(labels, found.shape))


def test_labels_follow_the_features():
  """Places change their order, and every label goes along."""
  rng = np.random.default_rng(0)
  orders = np.stack([rng.permutation(12) for _ in range(4)])
  orders[0] = np.arange(12)
  sharp = Propagation(num_previous=1, top_k=1)
  found = propagate(sharp, ONE_OF_EACH[orders], ONE_OF_EACH, GRID)
  np.testing.assert_allclose(found, ONE_OF_EACH[orders])


def test_the_weights_are_a_softmax_over_the_top():
  # Cosines 1, 0.6 and 0 with three places that have labels of their own.
  first = np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)
  query = np.array([[5, 0]] * 3, np.float32)  # Its length does not matter.
  # The first frame counts twice: as itself and as the one before.
  propagation = Propagation(num_previous=1, top_k=4, temperature=0.5)
  found = propagate(
    propagation, np.stack([first, query]), np.eye(3, dtype=np.float32), (1, 3)
  )
  share = np.exp([1 / 0.5, 0.6 / 0.5])
  share /= share.sum()
  np.testing.assert_allclose(found[1, 0], [*share, 0], atol=1e-6)


@pytest.mark.parametrize(('radius', 'found'), [(3, 1), (2, 0)])
def test_the_radius_ends_before_its_number(radius, found):
  """What only the frame before shows, two cells away, with a label of 1."""
  thing, floor = np.eye(2, dtype=np.float32)
  row = np.stack([floor] * 4)
  before, now = row.copy(), row.copy()
  before[1] = now[3] = thing
  rule = Propagation(num_previous=1, top_k=1, radius=radius)
  context = rule.start(row, np.zeros((4, 1)))
  step = compiled_step(rule, (1, 4), 2, 1)
  context, _ = step(context, before)
  context = context._replace(labels=context.labels.at[1, 1].set(1))
  assert float(step(context, now)[1][3, 0]) == found


def test_the_first_frame_is_within_any_radius():
  features = np.stack([ONE_OF_EACH, ONE_OF_EACH[::-1]])
  rule = Propagation(num_previous=1, top_k=1, radius=1)
  found = propagate(rule, features, ONE_OF_EACH, (1, 12))
  np.testing.assert_allclose(found[1], ONE_OF_EACH[::-1])


def test_frames_leave_the_context_after_their_time():
  """With one previous frame, the ring holds the latest and nothing else."""
  rule = Propagation(num_previous=2, top_k=1)
  context = rule.start(ONE_OF_EACH, ONE_OF_EACH)
  step = compiled_step(rule, GRID, 12, 12)
  for shift in (1, 2, 3):
    context, _ = step(context, np.roll(ONE_OF_EACH, shift, axis=1))
  held = [int(np.argmax(frame[0])) for frame in context.features]
  assert held[0] == 0 and sorted(held[1:]) == [2, 3]


def test_memory_grows_with_the_places_at_once_and_not_with_their_square():
  few, many = (
    planned_bytes(compiled_step(Propagation(places_at_once=n), (12, 12), 8, 2))
    for n in (4, 72)
  )
  context = 21 * 144 * (8 + 2) * 4
  assert context < few < many
  assert many - few < 68 * 21 * 144 * 4 * 5


@pytest.mark.parametrize('name', ['num_previous', 'top_k', 'temperature'])
def test_impossible_rules_are_refused(name):
  with pytest.raises(ValueError, match=f'{name}=0'):
    Propagation(**{name: 0})
