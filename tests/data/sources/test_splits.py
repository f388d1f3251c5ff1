"""Videos are divided alike everywhere, and every class is in every split."""

import pytest

from rvmae_jax.data.sources.splits import assign_splits

NAMES = [f'{kind}/{i}.mp4' for kind in 'ab' for i in range(10)]
GROUPS = [name[0] for name in NAMES]


def test_each_class_is_divided_by_the_shares():
  splits = assign_splits(NAMES, GROUPS, (0.6, 0.2, 0.2))
  for group in 'ab':
    found = [s for s, g in zip(splits, GROUPS) if g == group]
    assert [found.count(s) for s in ('train', 'val', 'test')] == [6, 2, 2]


def test_the_order_of_the_names_does_not_matter():
  splits = dict(zip(NAMES, assign_splits(NAMES, GROUPS)))
  turned = dict(zip(NAMES[::-1], assign_splits(NAMES[::-1], GROUPS[::-1])))
  assert splits == turned


def test_few_videos_still_fill_every_split_that_has_a_share():
  assert sorted(assign_splits(['a', 'b', 'c'], [0, 0, 0])) == [
    'test',
    'train',
    'val',
  ]
  assert assign_splits(['a'], [0]) == ['train']
  assert set(assign_splits(NAMES, GROUPS, (1, 0, 0))) == {'train'}


def test_shares_that_make_no_sense_are_refused():
  for shares in ((0.5, 0.5), (1, -0.1, 0.1), (0, 0, 0)):
    with pytest.raises(ValueError, match='must be three numbers'):
      assign_splits(NAMES, GROUPS, shares)
