import numpy as np
import pytest

from rvmae_jax.masking.space_time import SpaceTimeMask


def _shown(num_clips, grid=(8, 4, 4), **ratios):
  """[clips, slots] visible tokens of each slot."""
  mask = SpaceTimeMask(grid, **ratios)
  rng = np.random.default_rng(0)
  clips = [mask({}, rng)['ids_keep'] for _ in range(num_clips)]
  num_places = grid[1] * grid[2]
  return np.stack(
    [np.bincount(c // num_places, minlength=grid[0]) for c in clips]
  )


def test_slots_show_their_share_or_nothing():
  counts = _shown(200, ratio=0.75, frame_ratio=0.5)
  assert set(counts.ravel()) == {0, 4}
  assert (np.sum(counts > 0, axis=1) == 4).all()


def test_the_first_slot_is_shown_and_the_others_equally_often():
  share = (_shown(1000, ratio=0.75, frame_ratio=0.5) > 0).mean(0)
  assert share[0] == 1
  # 3 of the 7 others; standard deviation 0.016.
  assert np.abs(share[1:] - 3 / 7).max() < 0.06


def test_a_frame_ratio_that_hides_no_or_every_slot_is_refused():
  for frame_ratio in (0.0, 0.9):
    with pytest.raises(ValueError, match=r'frame_ratio.* of 8 time slots'):
      SpaceTimeMask((8, 4, 4), frame_ratio=frame_ratio)
