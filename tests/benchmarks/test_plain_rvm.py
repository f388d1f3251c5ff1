"""The plain transcription is the same network, and takes its parameters."""

import pathlib

import jax
import numpy as np
import pytest

from rvmae_jax.batch import fake_batch
from rvmae_jax.benchmarks.plain_rvm import PlainRVM
from rvmae_jax.benchmarks.program import count
from rvmae_jax.config_utils import load_config
from rvmae_jax.models import build_model
from rvmae_jax.parts import build_parts

RECIPE = str(pathlib.Path(__file__).parents[1] / 'tiny_recipe.py')


def _plain(config):
  return PlainRVM(build_model(config))


def test_outputs_are_those_of_the_network():
  config = load_config(RECIPE)
  config.unlock().model.core_blocks = 2
  parts = build_parts(config)
  batch = fake_batch(parts.spec)
  variables = {'params': jax.jit(parts.init)().params}
  wanted = jax.jit(parts.model.apply)(variables, batch)
  found = jax.jit(PlainRVM(parts.model).apply)(variables, batch)
  for key, value in found.items():
    np.testing.assert_allclose(value, wanted[key], atol=2e-5, rtol=1e-4)


def test_it_makes_keys_and_values_for_every_target():
  config = load_config('configs/rvm_quickstart.py')
  # The transcription keeps what blocks compute for the backward pass.
  config.model.core_remat = 'none'
  ours, plain = (
    count(jax.make_jaxpr(parts.train_step)(parts.shapes, parts.spec)).flops
    for parts in (build_parts(config), build_parts(config, _plain))
  )
  # Of 4 frames of 17 tokens, width 128: embedded, then keys and values of two
  # blocks; for three targets more than once, forward and backward, 16 clips.
  embedded, projected = 4 * 17 * 128 * 128, 4 * 17 * 128 * (2 * 2 * 128)
  again = 2 * (embedded + projected) * 3 * 3 * 16
  # It also embeds hidden patches, which is little.
  assert plain - ours == pytest.approx(again, rel=0.06)


def test_another_network_is_refused():
  config = load_config(RECIPE)
  config.unlock().model.core_kind = 'ungated'
  with pytest.raises(ValueError, match=r"core_kind='gated'.*'ungated'"):
    _plain(config.model)
