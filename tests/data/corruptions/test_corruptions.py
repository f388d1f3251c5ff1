"""Corruptions: one clip in, one of the same shape out, by hand and by order."""

import numpy as np
import pytest

from rvmae_jax.data.corruptions import (
  CORRUPTIONS,
  SEVERITIES,
  corrupt,
  order,
  pictures,
)

_T, _H, _W = 10, 24, 33


@pytest.fixture(scope='module')
def video() -> np.ndarray:
  """A smooth picture that moves, so that every frame is another."""
  t, y, x = np.mgrid[:_T, :_H, :_W]
  waves = [np.sin((x + 2 * t) / 3), np.cos((y - t) / 4), np.sin(t + x * y / 90)]
  return (127 + 100 * np.stack(waves, -1)).astype(np.uint8)


def _error(video, other):
  return np.square(video.astype(float) - other).mean()


@pytest.mark.parametrize('name', CORRUPTIONS)
def test_harsher_is_further_away_and_the_same_key_draws_the_same(name, video):
  before = video.copy()
  harder = [corrupt(video, name, s, key=(0, 1, 2)) for s in SEVERITIES]
  np.testing.assert_array_equal(video, before)
  assert {c.shape for c in harder} == {video.shape}
  assert {c.dtype for c in harder} == {np.dtype(np.uint8)}
  errors = [_error(video, clip) for clip in harder]
  assert errors[0] > 0
  assert errors[4] > errors[2] > errors[0]
  again = corrupt(video, name, 3, key=(0, 1, 2))
  np.testing.assert_array_equal(again, harder[2])


@pytest.mark.parametrize(
  'name', sorted({*CORRUPTIONS} - {'compression', 'low_resolution', 'speed'})
)
def test_another_record_draws_otherwise(name, video):
  clips = [corrupt(video, name, 2, key=(0, 0, i)) for i in range(8)]
  assert any((clip != clips[0]).any() for clip in clips[1:])


@pytest.mark.parametrize('name', CORRUPTIONS)
def test_a_clip_of_one_frame_keeps_its_shape(name, video):
  assert corrupt(video[:1], name, 5, key=(0,)).shape == video[:1].shape


def test_a_box_covers_its_share():
  black = np.zeros((2, 100, 60, 3), np.uint8)
  covered = pictures.occlude(black, 0.25, np.random.default_rng(0)) == 128
  assert covered.mean() == 0.25
  np.testing.assert_array_equal(covered[0], covered[1])


@pytest.mark.parametrize('angle', [0, 0.4, np.pi / 2, 2.5])
def test_a_line_has_its_length_and_direction(angle):
  kernel = pictures.line_kernel(9.0, angle)
  offsets = np.indices(kernel.shape).reshape(2, -1) - len(kernel) // 2
  assert kernel.sum() == pytest.approx(1)
  y, x = offsets @ kernel.ravel()
  assert (x, y) == pytest.approx((0, 0), abs=1e-5)
  # The variance of a line is L^2 / 12; sharing among pixels adds up to 1/4.
  along = np.array([np.sin(angle), np.cos(angle)]) @ offsets
  assert 81 / 12 < along**2 @ kernel.ravel() < 81 / 12 + 0.25
  across = np.array([np.cos(angle), -np.sin(angle)]) @ offsets
  assert across**2 @ kernel.ravel() < 0.3


def test_blur_leaves_a_plain_colour_alone():
  plain = np.full((2, 16, 20, 3), (10, 99, 250), np.uint8)
  blurred = pictures.blur(plain, 0.25, np.random.default_rng(0))
  np.testing.assert_array_equal(blurred, plain)


def test_noise_has_its_deviation():
  grey = np.full((8, 64, 64, 3), 128, np.uint8)
  noisy = pictures.add_noise(grey, 0.1, np.random.default_rng(0))
  assert noisy.std() / 255 == pytest.approx(0.1, rel=0.02)


def test_brightness_moves_all_pixels_alike(video):
  moved = pictures.brighten(video, 0.05, np.random.default_rng(0))
  assert np.unique(np.abs(moved.astype(int) - video)).tolist() == [13]


def test_shrinking_by_two_makes_a_fine_chequerboard_grey():
  checks = np.indices((16, 16)).sum(0) % 2 * 200
  video = np.repeat(checks[None, ..., None], 3, -1).astype(np.uint8)
  small = pictures.shrink(video, 2, None)[:, 4:-4, 4:-4]
  np.testing.assert_allclose(small, 100, atol=2)


def test_compression_takes_odd_sizes_and_stays_near(video):
  assert _error(video, pictures.compress(video, 18, None)) < 150


_FRAMES = np.arange(10)


def _rng():
  return np.random.default_rng(0)


def test_dropped_frames_are_filled_by_the_one_before():
  left = order.drop(_FRAMES, 0.4, _rng())
  # round(0.4 * 9) frames are lost, and the first one stays.
  assert len(np.unique(left)) == 10 - 4
  assert left[0] == 0 and (np.diff(left) >= 0).all() and (left <= _FRAMES).all()


@pytest.mark.parametrize(('share', 'moved'), [(0.0, 2), (0.4, 4), (1.0, 10)])
def test_shuffled_frames_are_all_there_and_none_at_its_place(share, moved):
  shuffled = order.shuffle(_FRAMES, share, _rng())
  assert sorted(shuffled) == _FRAMES.tolist()
  assert (shuffled != _FRAMES).sum() == moved


def test_reversal_of_all_and_of_a_stretch():
  assert order.reverse(_FRAMES, 1.0, _rng()).tolist() == _FRAMES[::-1].tolist()
  part = order.reverse(_FRAMES, 0.3, _rng())
  start = (part != _FRAMES).argmax()
  assert (part - _FRAMES)[start : start + 3].tolist() == [2, 0, -2]
  assert (part != _FRAMES).sum() == 2


def test_half_speed_shows_every_frame_twice():
  slow = order.slow_down(_FRAMES, 2, _rng())
  assert slow.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_wrong_names_and_severities_are_answered(video):
  with pytest.raises(ValueError, match=r"'nois'.*'noise'"):
    corrupt(video, 'nois', 1, (0,))
  with pytest.raises(ValueError, match='severity=6 is not one of'):
    corrupt(video, 'noise', 6, (0,))
