import re

import numpy as np
import pytest

from rvmae_jax.masking.tokens import count_visible, split_by_score, split_slots


@pytest.mark.parametrize(
  ('num_tokens', 'ratio', 'visible_down', 'hidden_down'),
  [
    (256, 0.95, 12, 13),
    (16, 15 / 16, 1, 1),
    (100, 0.9, 10, 10),
    (196, 0.9, 19, 20),
    (4, 0.5, 2, 2),
  ],
)
def test_number_of_visible_tokens(num_tokens, ratio, visible_down, hidden_down):
  assert count_visible(num_tokens, ratio) == visible_down
  assert count_visible(num_tokens, ratio, 'hidden') == hidden_down


@pytest.mark.parametrize('ratio', [0.0, 0.96, 1.0, 1.5, -0.5])
def test_a_ratio_without_visible_or_hidden_tokens_is_refused(ratio):
  with pytest.raises(ValueError, match=f'Mask ratio {ratio} leaves'):
    count_visible(16, ratio)


@pytest.mark.parametrize('num_tokens', [4, 16, 196, 1568])
@pytest.mark.parametrize('round_down', ['visible', 'hidden'])
def test_the_ratios_that_an_error_names_are_good(num_tokens, round_down):
  with pytest.raises(ValueError) as error:
    count_visible(num_tokens, 1.0)
  named = re.findall(r'at (?:most|least) (\d\.\d+)', str(error.value))
  for ratio in map(float, named):
    count_visible(num_tokens, ratio, round_down)
  assert len(named) == 2


def test_lowest_scores_stay_visible():
  keep, hidden = split_by_score(np.array([[3.0, 1.0, 2.0, 0.0]]), 2)
  np.testing.assert_array_equal(keep, [[1, 3]])
  np.testing.assert_array_equal(hidden, [[0, 2]])


def test_ids_of_slots_count_through_the_clip():
  scores = np.array([[3.0, 1.0, 2.0], [0.0, 1.0, 2.0]])
  keep, hidden = split_slots(scores, 1)
  np.testing.assert_array_equal(keep, [1, 3])
  np.testing.assert_array_equal(hidden, [0, 2, 4, 5])
  assert keep.dtype == hidden.dtype == np.int32
