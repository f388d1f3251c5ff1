"""A tiny network, one of each method, and videos known to the pixel."""

import pathlib

import numpy as np
import pytest
from PIL import Image

from rvmae_jax.config_utils import load_config
from rvmae_jax.evaluate import fresh_params
from rvmae_jax.tools.explorer.networks import make_network
from tests import tiny_recipe

ROOT = pathlib.Path(__file__).parents[3]


@pytest.fixture(scope='session')
def network():
  config = tiny_recipe.get_config().lock()
  return make_network('tiny', fresh_params(config), config)


@pytest.fixture(scope='session')
def make_method():
  """Makes the network of a recipe, of one block of each kind."""

  def make(recipe):
    config = load_config(f'{ROOT}/configs/{recipe}.py:runlocal')
    config.unlock()
    config.model.update({'width': 32, 'encoder_blocks': 1})
    if config.data.get('mask'):
      config.model.decoder_blocks = 1
    clip = config.data.clip
    while 'clip' in clip:  # Of a wrapper.
      clip = clip.clip
    if 'num_frames' in clip:
      clip.num_frames = 8
    config.lock()
    return make_network(recipe, fresh_params(config), config)

  return make


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
