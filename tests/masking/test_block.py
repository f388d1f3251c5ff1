import numpy as np
import pytest

from rvmae_jax.masking.block import BlockMask


def _hidden_maps(num_clips=50, grid=(2, 14, 14), **settings):
  mask = BlockMask(grid, **settings)
  rng = np.random.default_rng(0)
  maps = np.zeros((num_clips, *grid), bool)
  for clip in maps:
    clip.reshape(-1)[mask({}, rng)['ids_mask']] = True
  return maps[:, 0]


def _share_of_like_neighbours(maps):
  below = (maps[:, 1:] == maps[:, :-1]).mean()
  beside = (maps[..., 1:] == maps[..., :-1]).mean()
  return (below + beside) / 2


def test_hidden_places_lie_together():
  maps = _hidden_maps(ratio=0.5)
  # Scattered places would agree with half of their neighbours.
  assert _share_of_like_neighbours(maps) > 0.8


def test_one_block_of_the_given_area_and_aspect():
  # A fifth of 100 places, one high and five wide: 2 by 10.
  maps = _hidden_maps(
    grid=(1, 10, 10), ratio=0.2, area=(0.2, 0.2), aspect=(0.2, 0.2)
  )
  for hidden in maps:
    rows, columns = np.nonzero(hidden)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (2, 10)
  assert len({hidden.tobytes() for hidden in maps}) == 9


def test_of_the_last_block_the_middle_is_hidden():
  # One block of 5 x 5 where 9 places are to be hidden.
  maps = _hidden_maps(
    grid=(1, 10, 10), ratio=0.09, area=(0.25, 0.25), aspect=(1.0, 1.0)
  )
  for hidden in maps:
    rows, columns = np.nonzero(hidden)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (3, 3)


@pytest.mark.parametrize('name', ['area', 'aspect'])
def test_ranges_that_fall_are_refused(name):
  with pytest.raises(ValueError, match=f'mask.{name}'):
    BlockMask((2, 4, 4), **{name: (0.5, 0.2)})
