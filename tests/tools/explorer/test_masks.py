"""What strategies hide of a clip, and what the encoder gets."""

import numpy as np
import pytest

from rvmae_jax.masking import MASKS
from rvmae_jax.tools.explorer import masks, masks_tab


@pytest.mark.parametrize('name', MASKS.names())
def test_the_encoder_gets_what_is_not_grey(noise, name):
  settings = masks.settings_of(name) | {'ratio': 0.5}
  if name == 'clusters':
    settings |= {'cluster': (2, 4, 4), 'ratio': 0.0}
  found = masks.mask_video(noise, name, settings, 8, 2, seed=3)
  step = 1 if MASKS.get(name).layout.hides == 'target' else 2
  is_seen = (found.masked == noise).all(-1)[::step]  # [t, H, W]
  num_seen = is_seen.sum() // 64
  is_white = (found.tokens == 255).all((1, 3))  # [rows, columns of pixels]
  assert (~is_white).sum() // 8 == num_seen
  if name == 'clusters':
    # The last cluster is predicted, and nothing is predicted from it.
    assert found.summary.startswith('32 of 64 tokens are visible (50.0 %)')
  elif name == 'target':
    assert num_seen == 4 * 16 + 4 * 8
    assert 'of 4 target frames 8 of 16 tokens' in found.summary
  else:
    assert found.summary.startswith(f'{num_seen} of 64 tokens are visible')
  assert (found.flow is not None) == (name == 'motion_guided')


def test_settings_are_numbers_with_commas_between():
  value = masks_tab._value('area', '0.15, 2')
  assert value == (0.15, 2) and isinstance(value[1], int)
  for text in ('', 'x', '{[1]}', '(' * 500, '2, 4,', 'nan'):
    with pytest.raises(ValueError, match='numbers with commas between'):
      masks_tab._value('area', text)


def test_the_seed_decides_what_is_drawn(noise):
  first, again, other = (
    masks.mask_video(noise, 'tube', {'ratio': 0.5}, 8, seed=seed).masked
    for seed in (0, 0, 1)
  )
  assert np.array_equal(first, again)
  assert not np.array_equal(first, other)


def test_tokens_that_do_not_tile_the_clip_are_named(noise):
  with pytest.raises(ValueError, match='Tokens of 2 frames do not tile a clip'):
    masks.mask_video(noise[:5], 'tube', {}, 8, 2)


def test_patches_lie_in_rows_and_empty_places_are_white():
  rows = [np.full((2, 1, 1, 3), 7, np.uint8), np.zeros((0, 1, 1, 3), np.uint8)]
  laid = masks.in_rows(rows)
  assert laid[..., 0].tolist() == [[[7, 7]], [[255, 255]]]


def test_pictures_have_a_frame_for_each_column_but_eight_at_most(noise):
  found = masks.mask_video(noise, 'motion_guided', {'ratio': 0.5}, 8, 2)
  twice = np.concatenate([noise, noise])
  assert len(masks.draw_sheet(twice, twice).axes) == 2 * 8
  assert len(masks.draw_flow(noise[:3], found.flow).axes) == 3
  assert len(masks.draw_tokens(found.tokens).axes) == 1
