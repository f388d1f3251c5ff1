import numpy as np
import pytest

from rvmae_jax.masking.running_cell import RunningCellMask, decoded_map
from tests.golden import plain_tracking


@pytest.mark.parametrize('start', range(4))
@pytest.mark.parametrize('grid', [(8, 14, 14), (4, 3, 5)])
def test_maps_are_those_of_the_plain_transcription(grid, start):
  want = plain_tracking.running_cell(grid, start)
  np.testing.assert_array_equal(decoded_map(grid, start), want)


@pytest.mark.parametrize('start', range(4))
def test_maps_are_the_golden_ones(shared_dir, start):
  golden = np.load(shared_dir / 'golden/videomae_v2/running_cell.npz')
  not_decoded = golden['maps_1_is_not_decoded'][start].astype(bool)
  np.testing.assert_array_equal(decoded_map((8, 14, 14), start), ~not_decoded)


def test_half_of_the_hidden_tokens_of_the_paper_is_rebuilt():
  mask = RunningCellMask((8, 14, 14), ratio=0.9)
  rng = np.random.default_rng(0)
  starts = set()
  for _ in range(20):
    clip = mask({}, rng)
    assert clip['ids_keep'].shape == (160,)
    assert clip['ids_mask'].shape == (704,)  # 8 * 176 / 2
    maps = [decoded_map((8, 14, 14), start).ravel() for start in range(4)]
    fitting = [s for s in range(4) if maps[s][clip['ids_mask']].all()]
    assert len(fitting) == 1
    starts.add(fitting[0])
  assert starts == set(range(4))


def test_slots_that_do_not_come_in_fours_are_refused():
  with pytest.raises(ValueError, match='after 4 time slots; this clip has 6'):
    RunningCellMask((6, 14, 14))
