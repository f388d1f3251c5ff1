"""What is drawn agrees with the ground truth kept beside it."""

import numpy as np
import pytest

from rvmae_jax.data.sprites import motions, render

BLACK = np.zeros((64, 64, 3), np.float32)


def _disc(size=64):
  """A white disc of radius 1 with its keypoints on the axes."""
  side = 2 * int(motions.HALF_SIZE[1] * 2 * size / motions.FRAME) + 2
  axis = (np.arange(side) + 0.5 - side / 2) / (side / 2 - 1)
  inside = np.hypot(axis, axis[:, None]) < 1
  texture = np.repeat(inside[..., None], 4, axis=-1).astype(np.float32)
  points = np.array([[0, 0], [0.6, 0], [0, 0.6], [-0.6, 0], [0, -0.6]])
  return render.Sprite(texture, points)


def _render_disc(*pose):
  return render.render(BLACK, [_disc()], np.array([[pose]], float))


def test_disc_has_the_area_and_the_box_of_its_pose():
  drawn = _render_disc(32, 20, 0, 10)
  assert abs(drawn.frames[0, ..., 0].sum() / 255 - np.pi * 10**2) < 3
  assert abs(drawn.masks.sum() - np.pi * 10**2) < 8
  np.testing.assert_allclose(drawn.boxes[0, 0], [22, 10, 42, 30], atol=0.5)
  np.testing.assert_allclose(drawn.poses[0, 0], [32, 20, 0, 10])


def test_positive_angle_turns_keypoints_clockwise():
  drawn = _render_disc(32, 32, np.pi / 2, 10)
  # The point on the right goes below: y points down.
  np.testing.assert_allclose(drawn.keypoints[0, 0, 1], [32, 38], atol=1e-5)


def test_texture_turns_with_the_keypoints():
  sprite = _disc()
  half = sprite.texture.shape[1] // 2
  sprite.texture[:, :half, :3] = 0  # White on the right only.
  drawn = render.render(BLACK, [sprite], np.array([[[32, 32, np.pi / 2, 10]]]))
  y = np.indices((64, 64))[0][drawn.frames[0, ..., 0] > 127]
  assert y.min() >= 32


def test_sprite_wraps_around():
  middle, corner = _render_disc(32, 32, 0, 12), _render_disc(0, 0, 0, 12)
  rolled = np.roll(middle.frames, (32, 32), axis=(1, 2))
  np.testing.assert_array_equal(corner.frames, rolled)
  np.testing.assert_array_equal(
    corner.masks, np.roll(middle.masks, (32, 32), axis=(1, 2))
  )
  np.testing.assert_allclose(corner.keypoints[0, 0, 3], [64 - 7.2, 0])
  assert corner.visible.all()


def test_half_a_pixel_of_motion_moves_half_the_light():
  left, half, right = (
    _render_disc(x, 32, 0, 10).frames[0, 32].astype(float).mean(axis=-1)
    for x in (32, 32.5, 33)
  )
  np.testing.assert_allclose(half, (left + right) / 2, atol=32)
  assert np.abs(half - left).max() > 90


def test_front_sprite_hides_and_occluder_counts_as_background():
  poses = np.array([[[32, 32, 0, 12], [32, 32, 0, 10], [32, 32, 0, 9]]], float)
  two = render.render(BLACK, [_disc()] * 2, poses[:, :2])
  assert two.masks[0, 32, 32] == 2 and two.masks[0, 32, 43] == 1
  assert not two.visible[0, 0].any() and two.visible[0, 1].all()
  np.testing.assert_allclose(two.boxes[0, 0], [20, 20, 44, 44], atol=0.5)

  hidden = render.render(BLACK, [_disc()] * 3, poses, num_occluders=1)
  assert hidden.masks[0, 32, 32] == 0 and hidden.masks[0, 32, 41] == 2
  assert hidden.boxes.shape == (1, 2, 4) and not hidden.visible.any()


def test_large_frame_shows_the_scene_of_a_small_one():
  rng = np.random.default_rng(0)
  poses = motions.chain([('up', 2)], rng)[:, None]
  small = render.render(BLACK, [_disc()], poses)
  large = render.render(np.zeros((128, 128, 3), np.float32), [_disc()], poses)
  shrunk = large.frames.reshape(2, 64, 2, 64, 2, 3).mean(axis=(2, 4))
  assert np.abs(shrunk - small.frames).mean() < 1
  for key in ('boxes', 'keypoints'):
    difference = getattr(large, key) / 2 - getattr(small, key)
    assert np.abs(difference).max() <= 1


def test_long_videos_are_drawn_like_short_ones():
  rng = np.random.default_rng(0)
  poses = motions.chain([('orbit_cw', 40)], rng)[:, None]
  whole = render.render(BLACK, [_disc()], poses)
  last = render.render(BLACK, [_disc()], poses[-1:])
  for key, value in last._asdict().items():
    np.testing.assert_array_equal(getattr(whole, key)[-1:], value)


@pytest.mark.parametrize('seed', range(6))
def test_drawn_sprite_is_bright_and_holds_its_keypoints(seed):
  rng = np.random.default_rng(seed)
  sprite = render.draw_sprite(rng, 64)
  pose = np.array([[[32, 32, 0.3, 16]]])
  drawn = render.render(BLACK, [sprite], pose)
  assert drawn.visible.all()
  assert drawn.frames[drawn.masks == 1].mean() > 90
  assert np.ptp(drawn.frames[drawn.masks == 1].mean(axis=-1)) > 50


def test_plain_background_is_dim_and_busy_one_has_more_contrast():
  plain, busy = (
    render.draw_background(np.random.default_rng(0), 64, kind)
    for kind in ('plain', 'busy')
  )
  assert 0.05 < plain.mean() < 0.45
  assert busy.std(axis=(0, 1)).min() > 1.5 * plain.std(axis=(0, 1)).max()


def test_camera_shifts_background_and_sprites_alike():
  rng = np.random.default_rng(0)
  background = render.draw_background(rng, 64, 'busy', is_seamless=True)
  poses = np.repeat([[[50.0, 20.0, 0.3, 12.0]]], 3, axis=0)
  camera = np.array([[0, 0], [0.5, 0.25], [20, -30]])
  drawn = render.render(background, [_disc()], poses, camera=camera)
  still, _, moved = drawn.frames
  np.testing.assert_array_equal(np.roll(still, (-30, 20), (0, 1)), moved)
  mask = np.roll(drawn.masks[0], (-30, 20), (0, 1))
  np.testing.assert_array_equal(mask, drawn.masks[2])
  np.testing.assert_allclose(drawn.poses[2, 0, :2], [6, 54], atol=1e-4)
  # Half a pixel to the right, a quarter down.
  without = render.render(background, [_disc()], poses[:1])
  np.testing.assert_array_equal(without.frames[0], still)
  dim = still.astype(float)
  row = (dim + np.roll(dim, 1, 1)) / 2
  between = row + (np.roll(row, 1, 0) - row) / 4
  assert np.abs(drawn.frames[1] - between).mean() < 2


def test_seamless_background_has_no_seam():
  rng = np.random.default_rng(0)
  seamless = render.draw_background(rng, 64, 'busy', is_seamless=True)
  steps = np.abs(seamless - np.roll(seamless, 1, 1)).mean(axis=(0, 2))
  assert steps[0] < 1.5 * steps[1:].mean()
  seen = render.draw_background(np.random.default_rng(0), 64, 'busy')
  steps = np.abs(seen - np.roll(seen, 1, 1)).mean(axis=(0, 2))
  assert steps[0] > 1.5 * steps[1:].mean()
