"""A tiny network and videos that are known to the pixel."""

import numpy as np
import pytest
from PIL import Image

from rvmae_jax.evaluate import fresh_params
from rvmae_jax.tools.explorer.networks import make_network
from tests import tiny_recipe


@pytest.fixture(scope='session')
def network():
  config = tiny_recipe.get_config().lock()
  return make_network('tiny', fresh_params(config), config)


@pytest.fixture
def write_images(tmp_path):
  """Writes frames as a folder of images, which lose nothing; its path."""

  def write(frames):
    for number, frame in enumerate(frames):
      Image.fromarray(frame).save(tmp_path / f'{number}.png')
    return str(tmp_path)

  return write


@pytest.fixture
def noise():
  """[8, 32, 32, 3] uint8 without the greys of what is hidden."""
  rng = np.random.default_rng(0)
  return rng.integers(150, 256, (8, 32, 32, 3), dtype=np.uint8)
