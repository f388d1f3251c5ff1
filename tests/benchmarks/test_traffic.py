"""Bytes of a step, worked by hand."""

import types

import jax
import jax.numpy as jnp
import pytest

from rvmae_jax.benchmarks.traffic import step_traffic
from rvmae_jax.config_utils import load_config
from rvmae_jax.models import build_model
from rvmae_jax.parts import build_parts


def test_state_is_40_bytes_a_parameter_with_adamw():
  parts = build_parts(load_config('configs/rvm_quickstart.py'))
  num_params = sum(p.size for p in jax.tree.leaves(parts.shapes.params))
  # The optimizer's counts of steps are a few bytes more.
  assert step_traffic(parts).state == pytest.approx(40 * num_params, abs=100)


@pytest.mark.parametrize('scan_layers', [False, True])
def test_activations_of_a_vit_block_are_those_of_the_paper(scan_layers):
  """32 bytes a token and a value of its width (2205.05198, no dropout)."""
  blocks, tokens, width = 2, 9, 64
  model = build_model(
    {
      'name': 'videomae',
      'variant': 'tiny',
      'width': width,
      'encoder_blocks': blocks,
      'encoder_mlp_dim': 4 * width,
      'patch_size': 8,
      'dtype': jnp.bfloat16,
      'scan_layers': scan_layers,
    }
  )
  video = jax.ShapeDtypeStruct((1, 1, 24, 24, 3), jnp.uint8)
  variables = jax.eval_shape(
    lambda rng, video: model.init(rng, video, method='encode'),
    jax.eval_shape(lambda: jax.random.key(0)),
    video,
  )

  def loss_fn(params, batch, rng):
    del rng
    tokens = model.apply({'params': params}, batch['video'], method='encode')
    return tokens.sum(), {}

  shapes = types.SimpleNamespace(
    params=variables['params'], opt_state=(), ema_params=None
  )
  parts = types.SimpleNamespace(
    loss_fn=loss_fn, shapes=shapes, spec={'video': video}, frozen=()
  )
  embedding = 2 * tokens * (8 * 8 * 3 + width)
  wanted = embedding + blocks * 32 * tokens * width
  assert step_traffic(parts).activations == 3 * wanted
