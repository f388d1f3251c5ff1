import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from rvmae_jax.objectives.mixing import Mixing

ROWS = 64


def _mix(seed=0, size=(6, 10), **arguments):
  """Rows of one grey level each, 3 * row, and the class of each row."""
  video = np.zeros((ROWS, 2, *size, 3), np.uint8)
  video[:] = 3 * np.arange(ROWS)[:, None, None, None, None]
  target = jnp.eye(ROWS)
  mixed, target = Mixing(**arguments)(video, target, jax.random.key(seed))
  assert (mixed.shape, mixed.dtype) == (video.shape, jnp.uint8)
  return video, np.asarray(mixed), np.asarray(target)


def _own(target):
  """The share that each row keeps of itself."""
  return np.diag(target)


@pytest.mark.parametrize('arguments', [{}, {'mixup': 0}, {'cutmix': 0}])
def test_targets_are_shares_of_a_row_and_its_counterpart(arguments):
  _, _, target = _mix(**arguments)
  np.testing.assert_allclose(target.sum(axis=1), 1, atol=1e-6)
  np.testing.assert_allclose(
    np.diag(target[:, ::-1]), 1 - _own(target), atol=1e-6
  )
  assert (_own(target) < 1).mean() > 0.8


def test_mixup_blends_pixels_by_the_share_of_the_target():
  video, mixed, target = _mix(cutmix=0)
  own = _own(target)[:, None, None, None, None]
  expected = own * video + (1 - own) * video[::-1]
  assert np.abs(mixed - expected).max() <= 0.501


def test_cutmix_puts_one_box_of_the_counterpart_into_all_frames():
  video, mixed, target = _mix(mixup=0, size=(20, 30))
  np.testing.assert_array_equal(mixed[:, 0], mixed[:, 1])
  is_own = (mixed == video)[:, 0, :, :, 0]
  is_other = (mixed == video[::-1])[:, 0, :, :, 0]
  assert (is_own | is_other).all()
  np.testing.assert_allclose(is_own.mean(axis=(1, 2)), _own(target), atol=1e-6)
  for cut in ~is_own:
    rows, columns = cut.any(axis=1), cut.any(axis=0)
    np.testing.assert_array_equal(cut, rows[:, None] & columns)
    for line in (rows, columns):  # One piece.
      assert np.abs(np.diff(line.astype(int))).sum() <= 2


def test_shares_follow_the_beta_distribution():
  # Beta(a, a) has mean 1/2 and variance 1 / (4 (2a + 1)).
  shares = np.concatenate(
    [_own(_mix(seed, cutmix=0, mixup=0.5)[2]) for seed in range(30)]
  )
  assert abs(shares.mean() - 0.5) < 0.04  # 1920 rows, five standard deviations
  assert abs(shares.var() - 1 / 8) < 0.012


def test_a_box_inside_of_the_frame_has_the_share_that_was_drawn():
  # Beta(1e6, 1e6) is 1/2: boxes with sides of 0.7071 of the frame's, cut at
  # the edges; the centre is uniform. The mean of what is inside of the frame
  # is (s - s^2/4)^2 with s = sqrt(1/2): 0.3388.
  shares = np.concatenate(
    [
      _own(_mix(seed, mixup=0, cutmix=1e6, size=(40, 40))[2])
      for seed in range(30)
    ]
  )
  assert abs((1 - shares).mean() - 0.3388) < 0.012
  # 28.28 pixels are 28 or 29.
  assert 1 - (29 / 40) ** 2 - 1e-6 <= shares.min() <= 1 - (28 / 40) ** 2


def test_probability_and_share_of_cutmix():
  _, mixed, target = _mix(probability=0.0)
  np.testing.assert_array_equal(target, np.eye(ROWS))
  shares = np.concatenate(
    [_own(_mix(seed, cutmix=0, probability=0.25)[2]) for seed in range(20)]
  )
  assert abs((shares < 1).mean() - 0.25) < 0.05
  num_cut = 0
  for seed in range(20):
    video, mixed, _ = _mix(seed, cutmix_share=0.25, mixup=1e6)
    blended = (video + video[::-1].astype(int)) // 2
    num_cut += (np.abs(mixed.astype(int) - blended) > 1).any((1, 2, 3, 4)).sum()
  assert abs(num_cut / (20 * ROWS) - 0.25) < 0.05


def test_a_key_repeats_it_and_rows_draw_for_themselves():
  first, again, other = _mix(0)[2], _mix(0)[2], _mix(1)[2]
  np.testing.assert_array_equal(first, again)
  assert (first != other).any()
  assert len(np.unique(_own(first))) > ROWS // 2


def test_eight_devices_mix_as_one():
  video, expected, target = _mix()
  mesh = Mesh(jax.devices(), ('data',))
  sharding = NamedSharding(mesh, PartitionSpec('data'))
  placed = jax.device_put((video, jnp.eye(ROWS)), sharding)
  mixed, mixed_target = jax.jit(Mixing())(*placed, jax.random.key(0))
  np.testing.assert_array_equal(mixed, expected)
  np.testing.assert_allclose(mixed_target, target, atol=1e-6)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'mixup': -1.0}, 'mixup=-1.0'),
    ({'mixup': 0, 'cutmix': 0}, 'nor both 0'),
    ({'probability': 1.5}, 'probability=1.5'),
    ({'cutmix_share': -0.5}, 'cutmix_share=-0.5'),
  ],
)
def test_senseless_settings_are_refused(arguments, message):
  with pytest.raises(ValueError, match=message):
    Mixing(**arguments)
