"""TAP-Vid's measures against the official ones, and worked by hand."""

import math

import numpy as np
import pytest

from rvmae_jax.metrics.points import (
  MODES,
  RASTER,
  point_scores,
  sample_queries,
)

OFFICIAL = {
  'OA': 'occlusion_accuracy',
  'AJ': 'average_jaccard',
  'delta_average': 'average_pts_within_thresh',
}


@pytest.fixture(scope='module')
def golden(shared_dir):
  return np.load(shared_dir / 'golden/readout/tapvid_metrics.npz')


@pytest.mark.parametrize('mode', MODES)
def test_scores_are_golden(golden, mode):
  given = {
    name: golden[f'{mode}/{name}'][0]
    for name in (
      *('query_points', 'target_points', 'occluded'),
      *('pred_points', 'pred_occluded'),
    )
  }
  scores = point_scores(
    given['query_points'][:, 0].astype(int),
    given['target_points'],
    ~given['occluded'],
    given['pred_points'],
    ~given['pred_occluded'],
    mode,
  )
  assert len(scores) == 13
  for name, score in scores.items():
    want = golden[f'{mode}/metrics/{OFFICIAL.get(name, name)}'][0]
    assert score == pytest.approx(want, rel=1e-9), name


@pytest.mark.parametrize('mode', MODES)
def test_queries_are_golden(golden, mode):
  points = RASTER * golden['target_points']
  visible = ~golden['occluded']
  queries = sample_queries(points, visible, mode)
  np.testing.assert_allclose(queries.points, golden[f'{mode}/query_points'][0])
  np.testing.assert_allclose(
    points[queries.tracks], golden[f'{mode}/target_points'][0]
  )
  np.testing.assert_array_equal(
    visible[queries.tracks], ~golden[f'{mode}/occluded'][0]
  )


def test_queries_by_hand():
  points = np.arange(24.0).reshape(2, 6, 2)
  visible = np.array([[0, 1, 1, 0, 1, 1], [0, 0, 0, 0, 0, 0]], bool)
  first = sample_queries(points, visible, 'first')
  # Frame 1 of track 0 is x 2, y 3; track 1 is never seen.
  assert first.points.tolist() == [[1, 3, 2]] and first.tracks.tolist() == [0]
  strided = sample_queries(points, visible, 'strided', stride=2)
  assert strided.points.tolist() == [[2, 5, 4], [4, 9, 8]]


def scores_of(distances, visible, pred_visible, **settings):
  """One track, asked about in frame 1; distances in pixels along x."""
  distances = np.array([distances], float)
  points = np.zeros((1, distances.size, 2))
  points[~np.array([visible], bool)] = np.nan
  return point_scores(
    np.array([1]),
    points,
    np.array([visible], bool),
    np.stack([distances, 0 * distances], -1),
    np.array([pred_visible], bool),
    **{'mode': 'first', **settings},
  )


def test_scores_by_hand():
  """Frames 2 to 5: met, 3 px off, seen but lost, hidden but reported."""
  track = (
    [9, 9, 0, 3, 0, 0],
    [1, 1, 1, 1, 1, 0],
    [1, 1, 1, 1, 0, 1],
  )
  scores = scores_of(*track)
  assert scores['OA'] == 0.5
  # Places count whether the point is reported or not: 2 of 3, or all.
  assert scores['pts_within_1'] == scores['pts_within_2'] == 2 / 3
  assert scores['pts_within_4'] == 1
  # One hit among 3 seen and 2 false ones; then two among 3 and 1.
  assert scores['jaccard_2'] == 1 / 5 and scores['jaccard_16'] == 2 / 4
  assert scores['AJ'] == pytest.approx((2 * 0.2 + 3 * 0.5) / 5)
  assert scores['delta_average'] == pytest.approx((2 * 2 / 3 + 3) / 5)
  # Frame 0 counts too: 9 px off, which 16 px forgive.
  strided = scores_of(*track, mode='strided')
  assert strided['OA'] == 0.6
  assert strided['pts_within_8'] == 3 / 4 and strided['pts_within_16'] == 1


def test_a_distance_must_be_less_than_the_threshold():
  scores = scores_of([0, 0, 4], [1, 1, 1], [1, 1, 1])
  assert scores['pts_within_4'] == 0 and scores['pts_within_8'] == 1


def test_a_share_of_nothing_is_no_number():
  scores = scores_of([0, 0], [1, 1], [1, 1])
  assert all(math.isnan(score) for score in scores.values())


def test_unknown_modes_are_refused():
  with pytest.raises(ValueError, match="Unknown query mode 'last'"):
    sample_queries(np.zeros((1, 1, 2)), np.ones((1, 1), bool), 'last')
