"""From class probabilities to numbers, worked by hand."""

import numpy as np
import pytest

from rvmae_jax.evals.answers import measure, over_seeds, picture_arrays

# Right, right, and class 1 taken for class 0.
_PROBABILITIES = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4]])
_LABELS = np.array([0, 0, 1])


def test_numbers_of_a_classifier():
  numbers = measure(_PROBABILITIES, _LABELS)
  assert numbers == pytest.approx(
    {
      'top1': 2 / 3,
      'mean_class': 1 / 2,
      # Three bins with one answer each: gaps of 0.1, 0.2 and 0.6.
      'ece': 0.9 / 3,
    }
  )


def test_top_5_is_told_from_10_classes_up():
  assert 'top5' not in measure(np.eye(9), np.arange(9))
  assert measure(np.eye(10), np.arange(10))['top5'] == 1


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_answers_that_are_no_numbers_are_refused(value):
  broken = _PROBABILITIES.copy()
  broken[1, 0] = value
  with pytest.raises(ValueError, match=r'For 1 of 3 test videos .* checkpoint'):
    measure(broken, _LABELS)


def test_one_seed_has_no_deviation():
  assert over_seeds([{'top1': 0.5}]) == {'top1': 0.5}
  found = over_seeds([{'top1': 0.5}, {'top1': 0.7}])
  assert found == pytest.approx({'top1': 0.6, 'top1_std': 0.02**0.5})


def test_pictures_have_what_they_show():
  arrays = picture_arrays({'a/b': _PROBABILITIES}, _LABELS, ['left'])
  assert arrays['class_names'].tolist() == ['left', '1']
  assert arrays['classifiers'].tolist() == ['a/b']
  assert arrays['confusion'].tolist() == [[[2, 0], [1, 0]]]
  assert arrays['predicted'].tolist() == [[0, 0, 0]]
  assert arrays['reliability'].shape == (1, 3, 15)
