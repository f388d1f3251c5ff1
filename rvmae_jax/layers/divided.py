"""Divided space-time attention: over time at each place, then over space."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from rvmae_jax.layers.attention import SelfAttention
from rvmae_jax.layers.transformer import NORM_EPS, DropPath, Mlp, layer_norm


class DividedBlock(nn.Module):
  """Attention over time, attention over space, MLP; [B, T, P+K, D] -> same.

  The P prefix tokens (CLS) take no part in time; in space each slot has a copy,
  and the copies are averaged, so they stay equal. The linear map after
  attention over time starts at zero: a fresh block is an image transformer's.
  Called with a `drop_rate`, it drops each of the three by `DropPath`. Source:
  TimeSformer (arXiv 2102.05095).
  """

  num_heads: int
  mlp_dim: int
  dtype: jnp.dtype = jnp.float32
  attention: str = 'auto'
  key_bias: bool = True
  activation: str = 'gelu_tanh'
  norm_eps: float = NORM_EPS
  num_prefix: int = 0

  @nn.compact
  def __call__(
    self, tokens: jax.Array, drop_rate: jax.Array | None = None
  ) -> jax.Array:
    drop_path = DropPath(name='drop_path')
    norm = functools.partial(layer_norm, self.dtype, eps=self.norm_eps)
    attention = functools.partial(
      SelfAttention, self.num_heads, self.dtype, self.attention, self.key_bias
    )
    projection = nn.Dense(
      tokens.shape[-1],
      kernel_init=nn.initializers.zeros,
      dtype=self.dtype,
      name='temporal_projection',
    )

    prefix, tokens = jnp.split(tokens, [self.num_prefix], axis=2)
    normed = norm('temporal_norm')(tokens)
    over_time = attention(name='temporal_attention')(normed.swapaxes(1, 2))
    tokens += drop_path(projection(over_time).swapaxes(1, 2), drop_rate)

    tokens = jnp.concatenate([prefix, tokens], axis=2)
    normed = norm('attention_norm')(tokens)
    over_space = attention(name='attention')(normed)
    prefix, over_space = jnp.split(over_space, [self.num_prefix], axis=2)
    prefix = jnp.broadcast_to(prefix.mean(1, keepdims=True), prefix.shape)
    over_space = jnp.concatenate([prefix, over_space], axis=2)
    tokens += drop_path(over_space, drop_rate)

    normed = norm('mlp_norm')(tokens)
    mlp = Mlp(self.mlp_dim, self.dtype, self.activation, name='mlp')
    return tokens + drop_path(mlp(normed), drop_rate)
