import numpy as np
import pytest

from rvmae_jax.masking import MASKS
from rvmae_jax.masking.tokens import count_visible, split_by_score


def _masks(num_clips: int = 1, seed: int = 0, grid=(16, 16), ratio=0.95):
  mask = MASKS.build({'name': 'target', 'ratio': ratio}, grid=grid)
  rng = np.random.default_rng(seed)
  clip = {'target': np.zeros((4, 2, 2, 3), np.uint8)}
  return [mask(clip, rng) for _ in range(num_clips)]


@pytest.mark.parametrize(
  ('num_tokens', 'ratio', 'num_visible'),
  [
    (256, 0.95, 12),
    (16, 15 / 16, 1),
    (100, 0.9, 10),
    (196, 0.9, 19),
    (4, 0.5, 2),
  ],
)
def test_number_of_visible_tokens(num_tokens, ratio, num_visible):
  assert count_visible(num_tokens, ratio) == num_visible


@pytest.mark.parametrize('ratio', [0.0, 0.96, 1.0, 1.5, -0.5])
def test_a_ratio_without_visible_or_hidden_tokens_is_refused(ratio):
  with pytest.raises(ValueError, match=f'Mask ratio {ratio} leaves'):
    MASKS.build({'name': 'target', 'ratio': ratio}, grid=(4, 4))


def test_a_clip_without_targets_is_refused():
  mask = MASKS.build({'name': 'target'}, grid=(8, 8))
  with pytest.raises(ValueError, match='source_target'):
    mask({'video': np.zeros((4, 2, 2, 3))}, np.random.default_rng(0))


def test_ids_partition_the_grid_of_every_target_frame():
  (clip,) = _masks(grid=(8, 16), ratio=0.95)
  assert clip['ids_keep'].shape == (4, 6)  # int(128 * 0.05) = 6
  assert clip['ids_mask'].shape == (4, 122)
  assert clip['ids_keep'].dtype == clip['ids_mask'].dtype == np.int32
  together = np.concatenate([clip['ids_keep'], clip['ids_mask']], axis=-1)
  np.testing.assert_array_equal(
    np.sort(together), np.tile(np.arange(128), (4, 1))
  )
  for key in ('ids_keep', 'ids_mask'):
    assert (np.diff(clip[key]) > 0).all()


def test_frames_and_clips_draw_independently():
  ids = np.stack([clip['ids_keep'] for clip in _masks(num_clips=500)])
  shown = np.zeros((500, 4, 256))
  np.put_along_axis(shown, ids, 1, axis=-1)
  # Two independent draws of 12 among 256 share 12 * 12 / 256 = 0.5625 tokens,
  # with standard deviation 0.72; 0.1 is more than 3 deviations of the mean.
  between_frames = (shown[:, 0] * shown[:, 1]).sum(-1)
  between_clips = (shown[1:, 0] * shown[:-1, 0]).sum(-1)
  assert abs(between_frames.mean() - 0.5625) < 0.1
  assert abs(between_clips.mean() - 0.5625) < 0.1
  # Every token is shown 12 / 256 of the time; deviation of a share: 0.0047.
  assert np.abs(shown.mean((0, 1)) - 12 / 256).max() < 0.025


def test_the_seed_decides():
  first, again, other = (_masks(seed=seed)[0] for seed in (1, 1, 2))
  np.testing.assert_array_equal(first['ids_keep'], again['ids_keep'])
  assert (first['ids_keep'] != other['ids_keep']).any()


def test_lowest_scores_stay_visible():
  keep, hidden = split_by_score(np.array([[3.0, 1.0, 2.0, 0.0]]), 2)
  np.testing.assert_array_equal(keep, [[1, 3]])
  np.testing.assert_array_equal(hidden, [[0, 2]])
