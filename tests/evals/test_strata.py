"""Results by group: columns of records, worked numbers, and the picture."""

import numpy as np
import pytest

from rvmae_jax.evals.strata import accuracy_by_group, read_columns
from rvmae_jax.evals.videos import Videos
from rvmae_jax.visualize.strata import strata_figures

_SCORES = np.eye(2)[[0, 0, 1, 1, 0]]
_LABELS = np.array([0, 0, 0, 1, 1])


@pytest.fixture
def videos(tmp_path):
  for name in 'abc':
    (tmp_path / f'{name}.mp4').touch()
  path = tmp_path / 'list.csv'
  path.write_text('path,group\na.mp4,x\nb.mp4,y\nc.mp4,\n')
  listing = {'name': 'listing', 'path': str(path), 'split': 'all'}
  sources = {'noise': {'name': 'fake', 'num_videos': 2}, 'own': listing}
  return Videos(sources=sources, patch_size=8, batch_size=2)


def test_columns_are_joined_by_source_and_record(videos):
  places = np.array([[1, 1], [0, 1], [1, 0], [1, 2]])
  columns = read_columns(videos, places, ('group', 'source'))
  assert columns['group'].tolist() == ['y', '(none)', 'x', '(none)']
  assert columns['source'].tolist() == ['own', 'noise', 'own', 'own']


def test_the_source_is_the_alias_whatever_a_list_says(tmp_path):
  (tmp_path / 'a.mp4').touch()
  path = tmp_path / 'list.csv'
  path.write_text('path,source\na.mp4,camera 7\n')
  listing = {'name': 'listing', 'path': str(path), 'split': 'all'}
  videos = Videos(sources={'own': listing}, patch_size=8, batch_size=2)
  columns = read_columns(videos, np.array([[0, 0]]), ('source',))
  assert columns['source'].tolist() == ['own']


def test_an_unknown_column_is_answered_with_near_ones(videos):
  with pytest.raises(ValueError, match=r"'groop'.*Did you mean 'group'"):
    read_columns(videos, np.array([[1, 0]]), ('groop',))


def test_accuracy_of_each_group_by_hand():
  groups = {'site': np.array(['a/1', 'a/1', 'b', 'b', 'b'])}
  numbers = accuracy_by_group(_SCORES, _LABELS, groups)
  assert numbers['strata/site/a_1/top1'] == 1
  assert numbers['strata/site/a_1/count'] == 2
  assert numbers['strata/site/b/top1'] == pytest.approx(1 / 3)
  low, high = numbers['strata/site/b/low'], numbers['strata/site/b/high']
  # Wilson: (1/3 + 3.8415/6) / (1 + 3.8415/3) -+ 0.36474
  assert (low, high) == pytest.approx((0.06149, 0.79235), abs=1e-4)


def test_the_picture_has_a_point_for_each_group():
  groups = {'site': np.array(list('aabbb')), 'size': np.array(list('xyxyx'))}
  numbers = {}
  for pooling in ('mean', 'last_state'):
    prefix = f'strata/trained/{pooling}'
    numbers |= accuracy_by_group(_SCORES, _LABELS, groups, prefix)
  figure = strata_figures(numbers | {'trained/mean/top1': 1.0})['strata']
  figure.draw_without_rendering()
  assert [axes.get_title('left') for axes in figure.axes] == [
    'trained, mean', 'trained, last_state'
  ]  # fmt: skip
  names = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
  assert names == ['site', 'a (2)', 'b (3)', 'size', 'x (3)', 'y (2)']
  assert strata_figures({'top1': 1.0}) == {}
