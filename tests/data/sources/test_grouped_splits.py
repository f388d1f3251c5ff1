"""Groups stay whole, shares are met, and what is impossible is said."""

import collections

import numpy as np
import pytest

from rvmae_jax.data.sources.grouped_splits import assign_groups, merge_groups


def _videos(num_groups, num_labels, seed=0):
  """Labels and groups of videos; a group has 1 to 12 videos of some labels."""
  rng = np.random.default_rng(seed)
  labels, groups = [], []
  for group in range(num_groups):
    for _ in range(rng.integers(1, 13)):
      labels.append(f'label_{rng.integers(num_labels)}')
      groups.append(f'group_{group}')
  return labels, groups


def test_no_group_is_in_two_splits_and_labels_keep_their_shares():
  labels, groups = _videos(60, 5)
  splits = assign_groups(labels, groups, (0.6, 0.2, 0.2))
  assert len({*zip(groups, splits)}) == 60
  for split, share in (('train', 0.6), ('val', 0.2), ('test', 0.2)):
    for label in {*labels}:
      places = [s for s, found in zip(splits, labels) if found == label]
      # Labels have about 80 videos, groups 1 or 2 of each.
      assert abs(places.count(split) / len(places) - share) < 0.03


def test_shares_that_cannot_be_met_are_no_absent_labels():
  """Three uneven groups of a large set: one for each split."""
  sizes = {'ann': 9_000, 'bob': 3_000, 'eve': 3_000}
  groups = [name for name, size in sizes.items() for _ in range(size)]
  splits = assign_groups([''] * len(groups), groups)
  places = {*zip(groups, splits)}
  assert len(places) == 3
  assert ('ann', 'train') in places


def test_single_videos_are_shared_out_exactly():
  labels = ['a'] * 50 + ['b'] * 30
  splits = assign_groups(labels, range(80), (8, 1, 1))
  found = collections.Counter(zip(labels, splits))
  assert [found['a', s] for s in ('train', 'val', 'test')] == [40, 5, 5]
  assert [found['b', s] for s in ('train', 'val', 'test')] == [24, 3, 3]


def test_the_best_of_all_divisions_is_found_where_they_can_be_counted():
  # Groups of 6, 5, 4, 3, 2 videos in halves of 10: 6 + 4 and 5 + 3 + 2.
  groups = np.repeat(range(5), (6, 5, 4, 3, 2))
  splits = assign_groups(['a'] * 20, groups, (1, 0, 1))
  assert collections.Counter(splits) == {'train': 10, 'test': 10}


def test_a_seed_gives_the_same_and_another_one_another_division():
  labels, groups = _videos(40, 3)
  first, again, other = (
    assign_groups(labels, groups, seed=seed) for seed in (0, 0, 1)
  )
  assert first == again != other


def test_rare_labels_are_in_every_split():
  labels, groups = _videos(60, 3)
  labels += ['rare'] * 3
  groups += ['group_0', 'group_1', 'group_2']
  splits = assign_groups(labels, groups)
  assert sorted(splits[-3:]) == ['test', 'train', 'val']


def test_what_cannot_be_is_an_error_that_names_it():
  with pytest.raises(ValueError, match='2 groups cannot be in 3 splits'):
    assign_groups(['a'] * 4, [0, 0, 1, 1])
  labels, groups = ['a', 'a', 'a', 'b', 'b'], [0, 1, 2, 0, 1]
  with pytest.raises(ValueError, match=r"1 labels .*'b' \(2 of 3 groups\)"):
    assign_groups(labels, groups)
  assert {*assign_groups(labels, groups, allow_absent=True)} == {
    *('train', 'val', 'test')
  }
  # Each label has 3 groups, and yet all of them would have to be apart twice.
  labels = ['a'] * 3 + ['b'] * 3 + ['c'] * 3
  groups = [0, 1, 2, 0, 1, 3, 2, 3, 0]
  with pytest.raises(ValueError, match='No split was found'):
    assign_groups(labels, groups)
  with pytest.raises(ValueError, match='must be three numbers'):
    assign_groups(['a'], [0], (1, 1))


def test_unlabelled_videos_are_divided_too():
  splits = assign_groups([''] * 20, range(20))
  assert collections.Counter(splits) == {'train': 16, 'val': 2, 'test': 2}


def test_groups_merge_over_several_steps():
  signers = ['x', 'x', 'y', 'z', None, None]
  contents = [1, 2, 2, 3, 3, 4]
  assert merge_groups(signers, contents) == [0, 0, 0, 1, 1, 2]
  assert merge_groups(signers) == [0, 0, 1, 2, 3, 4]
