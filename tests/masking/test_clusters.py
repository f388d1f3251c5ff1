import numpy as np
import pytest

from rvmae_jax.masking.clusters import ClusterMask

GRID = (4, 4, 6)


def _corners(ids):
  """(slot, row, column) of each cluster's first token."""
  return [tuple(map(int, np.unravel_index(row[0], GRID))) for row in ids]


def _clip(seed=0, **settings):
  return ClusterMask(GRID, **settings)({}, np.random.default_rng(seed))


def test_a_cluster_holds_its_tokens():
  clip = _clip(cluster=(2, 2, 3), order='spatial_first')
  places = np.stack(np.unravel_index(clip['ids_mask'][0], GRID), axis=-1)
  # The second cluster: slots 0 and 1, rows 0 and 1, columns 3 to 5.
  expected = [(t, r, c) for t in (0, 1) for r in (0, 1) for c in (3, 4, 5)]
  np.testing.assert_array_equal(places, expected)


def test_raster_orders():
  corners = _corners(
    _clip(cluster=(2, 2, 3), order='spatial_first')['ids_keep']
  )
  assert corners == [
    (0, 0, 0), (0, 0, 3), (0, 2, 0), (0, 2, 3), (2, 0, 0), (2, 0, 3), (2, 2, 0)
  ]  # fmt: skip
  corners = _corners(
    _clip(cluster=(2, 2, 3), order='temporal_first')['ids_keep']
  )
  assert corners == [
    (0, 0, 0), (2, 0, 0), (0, 0, 3), (2, 0, 3), (0, 2, 0), (2, 2, 0), (0, 2, 3)
  ]  # fmt: skip


@pytest.mark.parametrize(
  ('cluster', 'num_clusters'),
  [((1, 2, 2), 24), ((4, 1, 1), 24), ((2, 2, 3), 8)],
  ids=['spatial', 'temporal', 'spatio_temporal'],
)
def test_random_orders_visit_every_cluster_once(cluster, num_clusters):
  mask = ClusterMask(GRID, cluster=cluster, order='random')
  rng = np.random.default_rng(0)
  firsts = []
  for _ in range(40):
    clip = mask({}, rng)
    # All but the last are seen, all but the first are predicted.
    ids = np.concatenate([clip['ids_keep'][:1], clip['ids_mask']])
    assert ids.shape[0] == num_clusters
    np.testing.assert_array_equal(np.sort(ids.ravel()), np.arange(96))
    np.testing.assert_array_equal(clip['ids_keep'][1:], clip['ids_mask'][:-1])
    firsts.append(int(ids[0, 0]))
  assert len(set(firsts)) > num_clusters / 2


def test_dropped_tokens_are_not_seen_but_predicted():
  clip = _clip(cluster=(2, 2, 3), order='random', ratio=0.8)
  assert clip['ids_keep'].shape == (7, 2)  # 12 * 0.2 = 2.4
  assert clip['ids_mask'].shape == (7, 12)
  for step in range(1, 7):
    assert set(clip['ids_keep'][step]) < set(clip['ids_mask'][step - 1])
  seen = [set(row) for row in clip['ids_keep']]
  for step in range(7):
    assert not set(clip['ids_mask'][step]) & set.union(*seen[: step + 1])


@pytest.mark.parametrize(
  ('settings', 'message'),
  [
    (
      {'cluster': (3, 2, 3)},
      r'cluster=\(3, 2, 3\) does not tile .*\(4, 4, 6\)',
    ),
    ({'cluster': (2, 2)}, 'does not tile'),
    ({'cluster': (0, 2, 2)}, 'does not tile'),
    ({'cluster': (4, 4, 6)}, 'nothing is left to predict'),
    ({'cluster': (2, 2, 3), 'order': 'raster'}, "Unknown mask.order='raster'"),
  ],
)
def test_senseless_settings_are_refused(settings, message):
  with pytest.raises(ValueError, match=message):
    ClusterMask(GRID, **settings)
