"""What features are made of beside the network's own."""

import numpy as np

from rvmae_jax.evals.tracking.encoders import patch_colours, warmed_up


def test_colours_of_patches_lie_row_by_row():
  frame = np.zeros((4, 6, 3), np.uint8)
  frame[:2, 2:4] = 255  # The second patch of the first row.
  (features,) = patch_colours([frame], patch_size=2)
  assert features.shape == (1, 6, 12)
  assert features.dtype == np.float32
  np.testing.assert_array_equal(features[0, :, 0], [-1, 1, -1, -1, -1, -1])


def sums(frames):
  """The sum of all frames so far, two at a time: a state from zero."""
  total, part = 0.0, []
  for frame in frames:
    total += frame
    part.append(total)
    if len(part) == 2:
      yield np.array(part)
      part = []
  if part:
    yield np.array(part)


def test_a_warm_up_fills_the_state_and_gives_no_features():
  for warm_up in range(6):
    found = np.concatenate(list(warmed_up(sums, warm_up)([1.0, 10.0, 100.0])))
    before = warm_up * 1.0
    np.testing.assert_array_equal(
      found, [before + 1, before + 11, before + 111]
    )
