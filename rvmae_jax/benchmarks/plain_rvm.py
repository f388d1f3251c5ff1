"""RVM written straight from its formulas, without regard for speed.

What a first transcription of the paper does: time unrolled in Python, attention
by einsum, all products in the loop that are written there, and the context's
keys and values made again for every target frame. It takes RVM's parameters and
gives its outputs; benchmarks measure what the real network gains over it.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rvmae_jax.layers import patches
from rvmae_jax.models.rvm import RVM

Params = Mapping[str, Any]
# How benchmarks call it.
PLAIN = 'plain transcription'


class PlainRVM:
  """Stands in for an RVM where only `init`, `apply` and FLOPs are asked for.

  Args:
    model: with a gated core, all features as context, blocks not scanned.

  Raises:
    ValueError: another kind of model.
  """

  def __init__(self, model: RVM):
    plain = {
      'core_kind': 'gated',
      'decoder_context': 'all',
      'scan_layers': False,
    }
    for field, value in plain.items():
      if getattr(model, field, None) != value:
        raise ValueError(
          f'There is a plain transcription only of RVM with {field}={value!r}; '
          f'this model has {getattr(model, field, None)!r}.'
        )
    self._model = model
    self.init = model.init
    self.needs_mask = model.needs_mask
    self.flops_per_clip = model.flops_per_clip

  def apply(
    self, variables: Params, batch: Params, **unused: Any
  ) -> dict[str, jax.Array]:
    """`pred`, `features` and `state` as the model gives them."""
    params = variables['params']
    video, target = batch['video'], batch['target']
    state = self.init_state(*video.shape[:1], *video.shape[2:4])
    states = []
    for time in range(video.shape[1]):
      state = self.step(params, state, video[:, time])
      states.append(state)
    context = jnp.concatenate(states, axis=1)  # [B, T*(1+N), D]
    pred = [
      self._rebuild(
        params,
        context,
        target[:, i],
        batch['target_delta'][:, i],
        batch['ids_keep'][:, i],
      )
      for i in range(target.shape[1])
    ]
    return {
      'pred': jnp.stack(pred, axis=1),
      'features': jnp.stack(states, axis=1),
      'state': state,
    }

  def init_state(self, batch_size: int, height: int, width: int) -> jax.Array:
    """Zeros [B, 1+N, D]."""
    h, w = patches.patch_grid(height, width, self._model.patch_size)
    return jnp.zeros((batch_size, 1 + h * w, self._model.width), jnp.float32)

  def step(
    self, params: Params, state: jax.Array, frame: jax.Array
  ) -> jax.Array:
    """The state after a frame: [B, 1+N, D], [B, H, W, 3] -> [B, 1+N, D]."""
    model, core = self._model, params['core']
    frame = self._encode(params, frame)

    def gate(number):
      from_input = frame @ core['input_gates']['kernel'][:, number]
      from_state = state @ core['state_gates']['kernel'][:, number]
      return nn.sigmoid((from_input + from_state).astype(jnp.float32))

    update, reset = gate(0), gate(1)
    context = reset * _norm(state, core['state_norm'], epsilon=1e-4)
    candidate = self._cross_blocks(
      core['transformer'], frame, context.astype(model.dtype), model.core_blocks
    )
    return (1 - update) * state + update * candidate.astype(jnp.float32)

  def _encode(
    self, params: Params, frame: jax.Array, ids_keep: jax.Array | None = None
  ) -> jax.Array:
    """The ViT on a frame, or on those of its patches: -> [B, 1+K, D]."""
    model = self._model
    grid = patches.patch_grid(*frame.shape[1:3], model.patch_size)
    pixels = patches.to_unit_float(patches.patchify(frame, model.patch_size))
    tokens = _dense(
      pixels.astype(model.dtype), params['patch_embedding']['projection']
    )
    tokens = tokens + model.encoder_positions(grid)
    if ids_keep is not None:
      tokens = jnp.take_along_axis(tokens, ids_keep[..., None], axis=1)
    cls = params['cls_token']['token'].astype(model.dtype)
    cls = jnp.broadcast_to(cls, (len(tokens), *cls.shape))
    tokens = jnp.concatenate([cls, tokens], axis=1)
    for number in range(model.encoder_blocks):
      block = params['encoder']['blocks'][f'block_{number:02d}']
      tokens = _self_attend(tokens, block)
      tokens = _mlp(tokens, block)
    return _norm(tokens, params['encoder']['norm'])

  def _cross_blocks(
    self, params: Params, tokens: jax.Array, context: jax.Array, num_blocks: int
  ) -> jax.Array:
    kernel, bias = (params['keys_values'][k] for k in ('kernel', 'bias'))
    for number in range(num_blocks):
      block = params['blocks'][f'block_{number:02d}']
      key, value = (
        jnp.einsum(
          'bld,dhe->blhe', context, kernel[:, number, i].astype(context.dtype)
        )
        + bias[number, i].astype(context.dtype)
        for i in range(2)
      )
      cross = block['cross_attention']
      normed = _norm(tokens, block['cross_attention_norm'])
      query = _project(normed, cross['query'])
      tokens = tokens + _attend(query, key, value, cross['out'])
      tokens = _mlp(tokens, block)
      tokens = _self_attend(tokens, block)
    return _norm(tokens, params['norm'])

  def _rebuild(
    self,
    params: Params,
    context: jax.Array,
    target: jax.Array,
    delta: jax.Array,
    ids_keep: jax.Array,
  ) -> jax.Array:
    """One target frame of all rows: -> [B, N, p*p*3]."""
    model = self._model
    grid = patches.patch_grid(*target.shape[1:3], model.patch_size)
    visible = self._encode(params, target, ids_keep)
    visible = _dense(visible, params['decoder_embedding'])
    mask_token = params['mask_token']['token'].astype(model.dtype)
    rows = jnp.arange(len(target))[:, None]
    tokens = jnp.broadcast_to(
      mask_token, (len(target), grid[0] * grid[1], model.decoder_width)
    )
    tokens = tokens.at[rows, ids_keep].set(visible[:, 1:])
    ahead = jax.nn.one_hot(delta, model.max_delta, dtype=model.dtype)
    tokens = tokens + _dense(ahead, params['delta_embedding'])[:, None]
    tokens = tokens + model.decoder_positions(grid)
    queries = jnp.concatenate([visible[:, :1], tokens], axis=1)
    context = _dense(context.astype(model.dtype), params['decoder_embedding'])
    decoded = self._cross_blocks(
      params['decoder'], queries, context, model.decoder_blocks
    )
    return _dense(decoded[:, 1:].astype(jnp.float32), params['output'])


def _dense(tokens: jax.Array, params: Params) -> jax.Array:
  kernel, bias = (params[k].astype(tokens.dtype) for k in ('kernel', 'bias'))
  return tokens @ kernel + bias


def _norm(
  tokens: jax.Array, params: Params, epsilon: float = 1e-6
) -> jax.Array:
  wide = tokens.astype(jnp.float32)
  centred = wide - wide.mean(-1, keepdims=True)
  scale = jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + epsilon)
  normed = centred * scale * params['scale'] + params.get('bias', 0)
  return normed.astype(tokens.dtype)


def _project(tokens: jax.Array, params: Params) -> jax.Array:
  """[B, N, D] -> [B, N, heads, d]."""
  kernel, bias = (params[k].astype(tokens.dtype) for k in ('kernel', 'bias'))
  return jnp.einsum('bnd,dhe->bnhe', tokens, kernel) + bias


def _attend(
  query: jax.Array, key: jax.Array, value: jax.Array, out: Params
) -> jax.Array:
  logits = jnp.einsum('bqhe,bkhe->bhqk', query, key) / query.shape[-1] ** 0.5
  weights = nn.softmax(logits.astype(jnp.float32), axis=-1).astype(query.dtype)
  mixed = jnp.einsum('bhqk,bkhe->bqhe', weights, value)
  kernel, bias = (out[k].astype(query.dtype) for k in ('kernel', 'bias'))
  return jnp.einsum('bqhe,hed->bqd', mixed, kernel) + bias


def _self_attend(tokens: jax.Array, block: Params) -> jax.Array:
  normed = _norm(tokens, block['attention_norm'])
  qkv = block['attention']['qkv']
  query, key, value = (
    _project(normed, {'kernel': qkv['kernel'][:, i], 'bias': qkv['bias'][i]})
    for i in range(3)
  )
  return tokens + _attend(query, key, value, block['attention']['out'])


def _mlp(tokens: jax.Array, block: Params) -> jax.Array:
  hidden = _dense(_norm(tokens, block['mlp_norm']), block['mlp']['dense_in'])
  return tokens + _dense(nn.gelu(hidden), block['mlp']['dense_out'])
