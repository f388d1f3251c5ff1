"""Masks against golden values and against cases counted by hand."""

import numpy as np
import pytest

from rvmae_jax.metrics.segmentation import (
  boundary,
  boundary_f,
  confusion,
  dilate,
  jaccard,
  mean_iou,
)
from tests.golden import plain_tracking


def square(top, left, side, size=20):
  mask = np.zeros((size, size), bool)
  mask[top : top + side, left : left + side] = True
  return mask


@pytest.fixture(scope='module')
def golden(shared_dir):
  return np.load(shared_dir / 'golden/propagation/cases.npz')


@pytest.mark.parametrize(
  ('name', 'measure'), [('J', jaccard), ('F', boundary_f)]
)
def test_golden_masks(golden, name, measure):
  predicted, true = golden['metrics/pred_masks'], golden['metrics/gt_masks']
  measured = [
    [measure(p == number, t == number) for p, t in zip(predicted, true)]
    for number in (1, 2)
  ]
  np.testing.assert_allclose(measured, golden[f'metrics/{name}'], rtol=1e-12)


def test_golden_parts(golden):
  counts = confusion(
    golden['metrics/parts_pred'], golden['metrics/parts_gt'], 20
  )
  assert mean_iou(counts) == pytest.approx(golden['metrics/parts_miou'])


def blobs(rng, shape=(24, 33), num_values=3):
  """A map of patches of some pixels, of numbers from 0."""
  coarse = rng.integers(num_values, size=(shape[0] // 6 + 1, shape[1] // 5 + 1))
  return np.kron(coarse, np.ones((6, 5), int))[: shape[0], : shape[1]]


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('measure', [jaccard, boundary_f])
def test_masks_of_the_plain_transcription(measure, seed):
  rng = np.random.default_rng(seed)
  true = blobs(rng) == 1
  predicted = np.roll(true, seed, axis=(0, 1)) ^ (blobs(rng, num_values=9) == 1)
  want = getattr(plain_tracking, measure.__name__)(predicted, true)
  assert measure(predicted, true) == pytest.approx(want, rel=1e-12)
  assert 0.1 < want < 0.99


def test_parts_of_the_plain_transcription():
  rng = np.random.default_rng(0)
  true = np.stack([blobs(rng, num_values=5) for _ in range(3)])
  predicted = np.where(rng.random(true.shape) < 0.2, 6, true)
  want = plain_tracking.mean_iou(predicted, true, 9)
  assert mean_iou(confusion(predicted, true, 9)) == pytest.approx(want)


def test_overlap_counted_by_hand():
  # 4x4 squares, one column apart: 12 pixels shared, 20 covered.
  assert jaccard(square(4, 4, 4), square(4, 5, 4)) == 12 / 20


def test_boundary_of_a_square():
  # Its own last row and column differ from outside, so does the row and the
  # column before it: a ring of 4x4 around 2x2 pixels, less the far corner.
  ring = boundary(square(3, 3, 3, size=8))
  expected = square(2, 2, 4, 8) & ~square(3, 3, 2, 8)
  np.testing.assert_array_equal(ring, expected)


def test_no_boundary_along_the_edge_of_the_frame():
  assert not boundary(np.ones((5, 7), bool)).any()


def test_a_disk_of_radius_2_has_13_pixels():
  dot = square(10, 10, 1)
  assert dilate(dot, 2).sum() == 13
  assert dilate(square(0, 0, 1), 2).sum() == 6  # A quarter, with its edges.


def test_boundaries_within_the_tolerance_agree():
  # The diagonal of 20x20 is 28.3: a share of 0.03 reaches 1 pixel.
  moved = square(6, 5, 8), square(5, 5, 8)
  assert boundary_f(*moved, tolerance=0.03) == 1
  assert 0 < boundary_f(*moved, tolerance=0) < 1
  assert boundary_f(square(1, 1, 4), square(12, 12, 4), tolerance=0.03) == 0


def test_masks_without_a_boundary():
  empty, some = np.zeros((9, 9), bool), square(2, 2, 3, size=9)
  assert (jaccard(empty, empty), boundary_f(empty, empty)) == (1, 1)
  assert (jaccard(empty, some), boundary_f(empty, some)) == (0, 0)
  assert (jaccard(some, empty), boundary_f(some, empty)) == (0, 0)


def test_iou_counted_by_hand():
  true = np.array([0, 0, 0, 1, 1, 255])
  predicted = np.array([0, 0, 1, 1, 1, 1])
  counts = confusion(predicted, true, num_classes=3)
  np.testing.assert_array_equal(counts, [[2, 1, 0], [0, 2, 0], [0, 0, 0]])
  # Class 0: 2 of 3; class 1: 2 of 3; class 2 does not occur.
  assert mean_iou(counts) == pytest.approx(2 / 3)
