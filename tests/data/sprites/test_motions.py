"""The poses of every motion are what its name says, and tell nothing alone."""

import numpy as np
import pytest

from rvmae_jax.data.sprites import motions

START = np.array([30.0, 20.0, 1.0, 14.0])


def _steps(motion, num_frames=5):
  """[T - 1, 4] changes of pose from frame to frame."""
  rng = np.random.default_rng(0)
  return np.diff(motions.trajectory(motion, START, num_frames, rng), axis=0)


@pytest.mark.parametrize(
  'motion, column, sign',
  [
    ('right', 0, 1),
    ('left', 0, -1),
    ('down', 1, 1),
    ('up', 1, -1),
    ('rotate_cw', 2, 1),
    ('rotate_ccw', 2, -1),
    ('zoom_in', 3, 1),
    ('zoom_out', 3, -1),
  ],
)
def test_steady_motion_changes_one_column_at_one_rate(motion, column, sign):
  steps = _steps(motion, 3)
  rates = [motions.SPEED, motions.SPEED, motions.SPIN_RAD, motions.GROWTH]
  low, high = rates[column]
  assert low <= sign * steps[0, column] <= high
  np.testing.assert_allclose(steps[1, column], steps[0, column])
  assert not np.delete(steps, column, axis=1).any()


@pytest.mark.parametrize('motion, sense', [('orbit_cw', 1), ('orbit_ccw', -1)])
def test_orbit_turns_in_its_sense_on_a_circle(motion, sense):
  steps = _steps(motion, 8)
  x, y = steps[:, 0], steps[:, 1]
  turn = x[:-1] * y[1:] - y[:-1] * x[1:]  # > 0: clockwise, for y is down.
  assert (sense * turn > 0).all()
  lengths = np.hypot(x, y)
  np.testing.assert_allclose(lengths, lengths[0])
  assert not steps[:, 2:].any()


@pytest.mark.parametrize(
  'motion, column', [('oscillate_horizontal', 0), ('oscillate_vertical', 1)]
)
def test_oscillation_goes_both_ways_within_its_amplitude(motion, column):
  rng = np.random.default_rng(1)
  start = np.array([32.0, 32.0, 0.0, 10.0])
  poses = motions.trajectory(motion, start, 64, rng)
  steps = np.diff(poses, axis=0)
  assert steps[:, column].min() < 0 < steps[:, column].max()
  low, high = motions.RADIUS
  assert 2 * low - 2 < np.ptp(poses[:, column]) <= 2 * high
  assert not np.delete(steps, column, axis=1).any()


def test_zoom_is_a_sawtooth():
  half_size = START[3] + np.cumsum(_steps('zoom_in', 40)[:, 3])
  low, high = motions.HALF_SIZE
  assert low <= half_size.min() < low + 2 and high - 2 < half_size.max() <= high


@pytest.mark.parametrize('motion', motions.MOTIONS)
def test_every_pose_is_equally_likely_in_a_late_frame(motion):
  n = 2000
  rng = np.random.default_rng(7)
  poses = [motions.chain([(motion, 12)], rng)[-1] for _ in range(n)]
  low, high = motions.HALF_SIZE
  unit = (np.array(poses) - [0, 0, 0, low]) / [64, 64, 2 * np.pi, high - low]
  # Kolmogorov-Smirnov distance from uniform: 99.9 % are below 1.95 / sqrt(n).
  rank = np.arange(1, n + 1)[:, None] / n
  assert np.abs(np.sort(unit, axis=0) - rank).max() < 1.95 / np.sqrt(n)


def test_chain_has_no_jumps():
  rng = np.random.default_rng(0)
  poses = motions.chain([('right', 9), ('still', 5), ('up', 7)], rng)
  assert poses.shape == (21, 4)
  steps = np.abs(np.diff(poses[:, :2], axis=0))
  steps = np.minimum(steps, motions.FRAME - steps)
  assert steps.max() <= motions.SPEED[1]
  assert not np.diff(poses[9:15], axis=0).any()


def test_unknown_motion_names_the_near_ones():
  with pytest.raises(ValueError, match=r"'rotate'.*rotate_cw"):
    motions.trajectory('rotate', START, 3, np.random.default_rng(0))
