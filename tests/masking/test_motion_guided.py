"""On scenes that move by whole tokens, where the true flow is known."""

import numpy as np
import pytest

from rvmae_jax.masking.motion_guided import (
  MotionGuidedMask,
  draw_base_map,
  warp,
  warp_from_middle,
)
from rvmae_jax.masking.tube import TubeMask

GRID = (8, 14, 14)
PATCH, TUBELET = 8, 2
PIXELS_PER_FRAME = 4  # one patch in a slot


def _panned_flow():
  """Everything moves to the right by one token in each slot."""
  towards = np.sign(8 - np.arange(16))  # 1 before the middle, -1 after it
  flow = np.zeros((16, 14 * PATCH, 14 * PATCH, 2), np.float32)
  flow[..., 0] = PIXELS_PER_FRAME * towards[:, None, None]
  return flow


def _shown(mask, clip, seed=0):
  """bool [slots, rows, columns]: True at visible tokens."""
  shown = np.zeros(GRID, bool)
  ids_keep = mask(clip, np.random.default_rng(seed))['ids_keep']
  shown.reshape(-1)[ids_keep] = True
  return shown


def _leakage(shown):
  """Share of hidden tokens that another slot shows, in the panned scene.

  What lies in column c of slot t lies in column c + (u - t) of slot u.
  """
  slots, _, columns = np.indices(GRID)
  leaks = np.zeros(GRID, bool)
  for step in range(-7, 8):
    slot, column = slots + step, columns + step
    inside = (slot >= 0) & (slot < 8) & (column >= 0) & (column < 14)
    moved = np.roll(shown, (-step, -step), axis=(0, 2))
    leaks |= inside & moved
  return (leaks & ~shown).sum() / (~shown).sum()


def test_the_base_map_falls_to_1_over_e_at_one_patch():
  rng = np.random.default_rng(0)
  # Patches of 9 pixels, so that a pixel lies in the centre of each.
  base = draw_base_map((63, 81), (7, 9), num_points=1, rng=rng)
  row, column = np.unravel_index(base.argmax(), base.shape)
  assert (row % 9, column % 9) == (4, 4)
  rows, columns = np.indices(base.shape)
  square = np.square(rows - row) + np.square(columns - column)
  np.testing.assert_allclose(base, np.exp(-square / 81), rtol=1e-4)


def test_the_base_map_is_the_greatest_of_its_gaussians():
  all_points = draw_base_map((16, 24), (2, 3), 6, np.random.default_rng(0))
  # Every token has a point in its middle, so all look alike.
  tokens = all_points.reshape(2, 8, 3, 8).transpose(0, 2, 1, 3)
  np.testing.assert_allclose(
    tokens, np.broadcast_to(tokens[0, 0], tokens.shape), rtol=1e-5
  )


def test_warp_takes_values_from_where_the_flow_points():
  values = np.arange(12, dtype=np.float32).reshape(3, 4)
  flow = np.zeros((3, 4, 2), np.float32)
  flow[..., 0], flow[..., 1] = 0.25, 1
  # One row further down and a quarter of a column to the right.
  np.testing.assert_allclose(
    warp(values, flow),
    [
      [4.25, 5.25, 6.25, 7 * 0.75],
      [8.25, 9.25, 10.25, 11 * 0.75],
      [0, 0, 0, 0],
    ],
  )


@pytest.mark.parametrize('shift', [-100.0, -5.0, 5.0, 100.0])
def test_warp_gives_0_outside(shift):
  flow = np.full((3, 4, 2), shift, np.float32)
  np.testing.assert_array_equal(warp(np.ones((3, 4), np.float32), flow), 0)


def test_maps_move_with_the_scene_in_both_directions_and_holes_are_filled():
  base = np.random.default_rng(0).uniform(0.1, 1, (112, 112)).astype(np.float32)
  maps = warp_from_middle(base, _panned_flow())
  assert maps.shape == (16, 112, 112)
  np.testing.assert_array_equal(maps[8], base)
  for frame in (0, 5, 7, 9, 15):
    shift = PIXELS_PER_FRAME * (frame - 8)
    moved = maps[frame]
    if shift > 0:
      np.testing.assert_allclose(moved[:, shift:], base[:, :-shift])
    else:
      np.testing.assert_allclose(moved[:, :shift], base[:, -shift:])
  # What comes in at the left edge between frames 8 and 9 is the base map.
  np.testing.assert_array_equal(maps[9][:, :4], base[:, :4])
  np.testing.assert_array_equal(maps[7][:, -4:], base[:, -4:])


def test_without_motion_it_is_a_tube():
  mask = MotionGuidedMask(GRID, ratio=0.9)
  shown = _shown(mask, {'flow': np.zeros_like(_panned_flow())})
  assert shown.sum() == 8 * 20
  assert (shown == shown[:1]).all()


def test_the_visible_set_follows_the_scene():
  mask = MotionGuidedMask(GRID, ratio=0.9)
  found = []
  for seed in range(10):
    shown = _shown(mask, {'flow': _panned_flow()}, seed)
    # Slot 4 begins with the middle frame; by slot 7 three columns are new.
    for slot in (1, 2, 3, 5, 6, 7):
      shift = slot - 4
      moved = np.roll(shown[4], shift, axis=1)
      old = slice(shift, None) if shift > 0 else slice(None, shift)
      found.append((shown[slot] & moved)[:, old].sum() / moved[:, old].sum())
  # A few places go to what has newly come in.
  assert np.mean(found) > 0.9


def test_less_leaks_than_through_tubes():
  masks = [MotionGuidedMask(GRID, ratio=0.9), TubeMask(GRID, ratio=0.9)]
  guided, tube = (
    np.mean(
      [_leakage(_shown(mask, {'flow': _panned_flow()}, s)) for s in range(10)]
    )
    for mask in masks
  )
  # A hidden token of a tube meets a visible one in about half of all cases.
  assert tube > 0.35
  assert guided < tube / 2


def test_a_single_frame_is_enough():
  mask = MotionGuidedMask((1, 4, 4), ratio=0.5)
  clip = mask({'flow': np.zeros((1, 16, 16, 2))}, np.random.default_rng(0))
  assert clip.keys() == {'ids_keep', 'ids_mask'}
  assert clip['ids_keep'].shape == (8,)
