"""What labels become, and whether two sides mean the same by them."""

import pytest

from rvmae_jax.data import classes
from rvmae_jax.data.classes import (
  MAX_CLASSES,
  check_labelled,
  check_same_classes,
  number_labels,
)


@pytest.fixture
def warnings(monkeypatch):
  """What is warned of, in order."""
  said = []
  monkeypatch.setattr(classes, 'warn_once', said.append)
  return said


@pytest.mark.parametrize(
  ('labels', 'numbers', 'names'),
  [
    # Whole numbers stay what they are, however they are written.
    (['2', '0', '-1', ''], [2, 0, -1, -1], ['0', '1', '2']),
    ([2, 0.0, None, float('nan')], [2, 0, -1, -1], ['0', '1', '2']),
    (['2.0', '0.0', '-1.0', 'nan'], [2, 0, -1, -1], ['0', '1', '2']),
    # Names: spaces and the spelling of accents make no difference.
    ([' run', 'run', 'a\u00a0 b'], [1, 1, 0], ['a b', 'run']),
    (['caf\u00e9', 'cafe\u0301', '-1'], [0, 0, -1], ['caf\u00e9']),
    ([True, False], [1, 0], ['False', 'True']),
    # What only looks like a number is a name.
    (['010', '001', '002'], [2, 0, 1], ['001', '002', '010']),
    (['\u0663', '1', '2'], [2, 0, 1], ['1', '2', '\u0663']),
    (['2\u00b2', '3'], [0, 1], ['2\u00b2', '3']),
    (['1.5', '1.0'], [1, 0], ['1.0', '1.5']),
    # Identifiers and dates are names, in order of size.
    (
      ['1000000007', '42', '1000000007'],
      [1, 0, 1],
      ['42', '1000000007'],
    ),
    ([str(MAX_CLASSES), '7'], [1, 0], ['7', str(MAX_CLASSES)]),
    (['9' * 5000], [0], ['9' * 5000]),
    ([], [], []),
  ],
)
def test_labels_become_numbers(labels, numbers, names):
  assert number_labels(labels) == (numbers, names)


def test_the_largest_number_is_still_a_class():
  numbers, names = number_labels([str(MAX_CLASSES - 1)])
  assert numbers == [MAX_CLASSES - 1] and len(names) == MAX_CLASSES


@pytest.mark.parametrize(
  ('labels', 'message'),
  [
    ([0, -2], 'line 2: label -2 is negative'),
    ([0, ['run', 'walk']], r"line 2: a label is .* not \['run', 'walk'\]"),
  ],
)
def test_what_is_no_label_is_refused_by_its_place(labels, message):
  with pytest.raises(ValueError, match=message):
    number_labels(labels, ['line 1', 'line 2'])


@pytest.mark.parametrize(
  ('labels', 'alike'),
  [
    (['Run', 'run', 'walk'], "'Run' and 'run'"),
    (['brush_hair', 'brush hair'], "'brush hair' and 'brush_hair'"),
    (['007', '7', '1'], "'007' and '7'"),
    (['\u0663', '3', 'x'], "'3' and '\u0663'"),
  ],
)
def test_labels_that_may_be_one_class_are_told(labels, alike, warnings):
  assert len(number_labels(labels)[1]) == len(labels)
  [warning] = warnings
  assert alike in warning


def test_numbers_that_are_taken_for_names_are_told(warnings):
  number_labels(['20250127135303', '1'])
  assert 'too large to number classes' in warnings[0]


_LEARNED = ['jump', 'run', 'walk']


@pytest.mark.parametrize(
  ('asked', 'warning'),
  [
    (_LEARNED, ''),
    (['jump'], ''),
    ([], ''),
    ([' jump ', 'run'], ''),
    ([*_LEARNED, 'zoom'], 'zoom'),
    # Numbers say nothing of names, so they are believed, but not in silence.
    (['0', '1', '2'], "0 is 'jump'"),
  ],
)
def test_labels_mean_the_same_on_two_sides(asked, warning, warnings):
  check_same_classes({'train': _LEARNED}, {'test': asked})
  assert warning in ''.join(warnings) and bool(warnings) == bool(warning)


@pytest.mark.parametrize(
  ('learned', 'asked', 'message'),
  [
    ({'a': _LEARNED}, {'b': ['run', 'walk']}, "Label 0 is 'jump' in a .* b"),
    ({'a': ['run'], 'b': [], 'c': ['x']}, {}, "0 is 'run' in a and 'x' in c"),
    # Identifiers are names: each list numbers those that it has.
    ({'a': ['7', '9000']}, {'b': ['8', '9000']}, "Label 0 is '7' in a"),
    ({'a': _LEARNED}, {'b': ['jump', 'run', 'walk', 'zoom']}, r'b has 4.*zoom'),
    ({'a': [*_LEARNED, 'zoom']}, {}, 'a has 4 classes, .*num_classes=3'),
  ],
)
def test_other_classes_are_refused(learned, asked, message):
  with pytest.raises(ValueError, match=message):
    check_same_classes(learned, asked, num_classes=3)


def _source(*labels, **others):
  records = [{'path': 'a.mp4', 'label': label, **others} for label in labels]
  return records


def test_labels_are_there_where_they_are_learned(warnings):
  check_labelled({'a': _source(-1, -1), 'b': _source(-1, 0)})
  assert warnings == ['No video of a has a label: they are not used.']
  with pytest.raises(
    ValueError,
    match=r'no video of a or b .*`class` or `target` .this one has kind.',
  ):
    check_labelled({'a': _source(-1, columns={'kind': 'x'}), 'b': _source(-1)})


def test_one_label_is_enough_to_know():
  class Source(list):
    def __getitem__(self, index):
      assert index == 0, 'each of a million records would be read'
      return {'label': 1}

  check_labelled({'a': Source(range(10))})
