"""What is rebuilt, and how its rivals score."""

import gc
import math

import jax
import numpy as np
import pytest

from rvmae_jax.tools.explorer import rebuild
from rvmae_jax.tools.explorer.networks import NUM_SIZES, Network
from tests import tiny_recipe


def test_the_gap_decides_the_target_and_what_copying_is_worth(
  network, write_images
):
  path = write_images(
    np.stack([np.full((32, 32, 3), 20 * t, np.uint8) for t in range(8)])
  )
  # In the middle of 8 frames: sources 1 and 2, and the target of gap 3 is 5.
  found = rebuild.rebuild(network, path, gap=3, ratio=0.5)
  assert np.allclose(found.clips['target'], 100 / 255)
  assert found.clips['hidden'].mean() == 0.5
  psnr, _ = found.scores['last frame']
  assert psnr == pytest.approx(-20 * math.log10(60 / 255), abs=1e-3)
  assert found.scores['mean colour'][0] == pytest.approx(psnr, abs=1e-3)
  assert {'rebuilt', 'last frame', 'mean colour'} == found.scores.keys()
  titles = [axes.get_title() for axes in rebuild.draw_rebuilt(found).axes]
  shown = ['t\u22121', 't', 't+3, as it is seen', 'rebuilt', 'true']
  assert titles[:5] == shown


def test_a_ratio_that_hides_all_is_refused(network, write_images):
  path = write_images(np.zeros((8, 32, 32, 3), np.uint8))
  with pytest.raises(ValueError, match='leaves 0 of 16 tokens visible'):
    rebuild.rebuild(network, path, gap=1, ratio=0.99)


def test_programs_of_few_shares_are_kept(network, write_images):
  path = write_images(np.zeros((8, 32, 32, 3), np.uint8))

  def count_programs():
    gc.collect()
    return len(jax.devices()[0].client.live_executables())

  for num_visible in range(1, 1 + NUM_SIZES):
    rebuild.rebuild(network, path, gap=1, ratio=1 - num_visible / 16)
  kept = count_programs()
  for num_visible in range(1 + NUM_SIZES, 3 + NUM_SIZES):
    rebuild.rebuild(network, path, gap=1, ratio=1 - num_visible / 16)
  assert count_programs() == kept


def test_a_network_that_rebuilds_nothing_says_so():
  config = tiny_recipe.get_config('contrastive=True')
  network = Network('moco', config, functions=None)
  with pytest.raises(ValueError, match='moco was not trained to rebuild pixel'):
    rebuild.rebuild(network, 'video', gap=1, ratio=0.5)
