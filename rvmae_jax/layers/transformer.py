"""Transformer blocks and stacks of them, pre-LN, with biases everywhere."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rvmae_jax.layers.attention import (
  CrossAttention,
  Heads,
  SelfAttention,
  dense_layer,
  split_heads,
)
from rvmae_jax.layers.attention_functions import OUTPUT

# What a rematerialised block keeps for the backward pass. 'dots' keeps the
# outputs of projections and recomputes attention and elementwise work;
# 'attention' keeps its outputs alone, so that no logits are computed for them
# once more, and recomputes the rest.
REMAT_POLICIES = {
  'none': None,
  'dots': jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
  'attention': jax.checkpoint_policies.save_only_these_names(OUTPUT),
  'full': jax.checkpoint_policies.nothing_saveable,
}


def _keeping_slope(
  function: Callable[[jax.Array], jax.Array],
) -> Callable[[jax.Array], jax.Array]:
  """An elementwise function that keeps its slope alone for the backward pass.

  JAX would keep what each step of the function needs: four arrays of a GELU.
  """
  wrapped = jax.custom_jvp(function)

  @wrapped.defjvp
  def _(primals, tangents):
    value, slope = jax.jvp(function, primals, (jnp.ones_like(primals[0]),))
    return value, slope * tangents[0]

  return wrapped


# What MLPs have between their layers. RVM takes the tanh approximation of the
# GELU, the VideoMAE family the exact function.
ACTIVATIONS = {
  'gelu': _keeping_slope(functools.partial(nn.gelu, approximate=False)),
  'gelu_tanh': _keeping_slope(functools.partial(nn.gelu, approximate=True)),
  'quick_gelu': _keeping_slope(
    lambda hidden: hidden * nn.sigmoid(1.702 * hidden)
  ),
  'relu': nn.relu,
  'silu': _keeping_slope(nn.silu),
}
NORM_EPS = 1e-6
# A compiler that merges both computations saves no memory, but does no harm.
_LayerNorm = nn.remat(nn.LayerNorm, prevent_cse=False)


def keep_rows_apart(tokens: jax.Array) -> jax.Array:
  """Leaves each row of a batch on its device, where a mesh is in force.

  Where parameters are spread over devices, too (`config.mesh.fsdp`), the
  compiler might else spread the width of tokens like them, and exchange tokens
  in every layer, which are far more than the parameters.

  Args:
    tokens: [B, ...].
  """
  mesh = jax.sharding.get_abstract_mesh()
  if mesh.empty:
    return tokens
  rows = jax.sharding.PartitionSpec(mesh.axis_names)
  return jax.lax.with_sharding_constraint(tokens, rows)


def layer_norm(
  dtype: jnp.dtype, name: str | None = None, eps: float = NORM_EPS
) -> nn.LayerNorm:
  """LayerNorm; statistics are float32 whatever `dtype` is.

  For the backward pass it keeps its input, and computes again what would be
  three float32 arrays as large.
  """
  return _LayerNorm(epsilon=eps, dtype=dtype, name=name)


class Mlp(nn.Module):
  """Two dense layers and one of `ACTIVATIONS`; [..., D] -> [..., D]."""

  hidden_dim: int
  dtype: jnp.dtype = jnp.float32
  activation: str = 'gelu_tanh'

  @nn.compact
  def __call__(self, tokens: jax.Array) -> jax.Array:
    dense = functools.partial(
      nn.Dense, kernel_init=nn.initializers.xavier_uniform(), dtype=self.dtype
    )
    hidden = dense(self.hidden_dim, name='dense_in')(tokens)
    hidden = ACTIVATIONS[self.activation](hidden)
    return dense(tokens.shape[-1], name='dense_out')(hidden)


class DropPath(nn.Module):
  """Leaves out what a block adds, each row of the batch for itself.

  What stays is scaled up, so that the mean is the same. Takes random numbers
  from `dropout`. Source: stochastic depth (arXiv 1603.09382).
  """

  @nn.compact
  def __call__(
    self, added: jax.Array, rate: jax.Array | float | None
  ) -> jax.Array:
    """[B, ...] -> same; `rate` is the share of rows to leave out, None = 0."""
    if rate is None:
      return added
    shape = (len(added), *[1] * (added.ndim - 1))
    is_kept = jax.random.bernoulli(self.make_rng('dropout'), 1 - rate, shape)
    return jnp.where(is_kept, added / (1 - rate), 0).astype(added.dtype)


class SelfAttentionBlock(nn.Module):
  """A ViT block: self-attention, then MLP; [..., N, D] -> [..., N, D].

  Called with a `drop_rate`, it drops either by `DropPath`. For `num_clusters`
  see `layers.attention.cluster_mask`.
  """

  num_heads: Heads
  mlp_dim: int
  dtype: jnp.dtype = jnp.float32
  attention: str = 'auto'
  key_bias: bool = True
  activation: str = 'gelu_tanh'
  norm_eps: float = NORM_EPS
  num_clusters: int = 1

  @nn.compact
  def __call__(
    self, tokens: jax.Array, drop_rate: jax.Array | None = None
  ) -> jax.Array:
    drop_path = DropPath(name='drop_path')
    norm = functools.partial(layer_norm, self.dtype, eps=self.norm_eps)
    normed = norm('attention_norm')(tokens)
    attention = SelfAttention(
      self.num_heads,
      self.dtype,
      self.attention,
      self.key_bias,
      self.num_clusters,
      name='attention',
    )
    tokens += drop_path(attention(normed), drop_rate)
    normed = norm('mlp_norm')(tokens)
    mlp = Mlp(self.mlp_dim, self.dtype, self.activation, name='mlp')
    return tokens + drop_path(mlp(normed), drop_rate)


# RVM's order of what a cross-attention block does.
CROSS_ATTENTION_FIRST = ('cross_attention', 'mlp', 'attention')


class CrossAttentionBlock(nn.Module):
  """Cross-attention, self-attention and MLP in any order, or some of them.

  Queries come in G groups that share one context but do not see each other:
  [B, G, N, D] attending to keys and values [2, B, L, heads, d].

  Attributes:
    order: of `cross_attention`, `attention` (within a group) and `mlp`.
    causal: the context is cut into G equal parts, in order, and group i sees
      the parts 0 to i; else every group sees all.
  """

  num_heads: Heads
  mlp_dim: int
  dtype: jnp.dtype = jnp.float32
  attention: str = 'auto'
  order: tuple[str, ...] = CROSS_ATTENTION_FIRST
  causal: bool = False

  @nn.compact
  def __call__(self, tokens: jax.Array, keys_values: jax.Array) -> jax.Array:
    shape = batch_size, groups, length, width = tokens.shape
    attention = self.num_heads, self.dtype, self.attention
    for part in self.order:
      if part == 'attention':
        # [B*G, N, D]: among themselves only the tokens of one group attend.
        tokens = tokens.reshape(batch_size * groups, length, width)
      else:
        # [B, G*N, D]: queries attend to the context one by one.
        tokens = tokens.reshape(batch_size, groups * length, width)
      normed = layer_norm(self.dtype, f'{part}_norm')(tokens)
      if part == 'attention':
        tokens += SelfAttention(*attention, name=part)(normed)
      elif part == 'cross_attention':
        tokens += CrossAttention(
          *attention, groups if self.causal else 1, name=part
        )(normed, *keys_values)
      else:
        tokens += Mlp(self.mlp_dim, self.dtype, name=part)(normed)
    return tokens.reshape(shape)


class BlockStack(nn.Module):
  """`num_blocks` blocks one after the other, unrolled or as one scan.

  Unrolled, the parameters are `block_00`, `block_01`, ...; scanned, they are
  one block's with a leading axis of `num_blocks` (see `stack_blocks`), which
  compiles in the time of one block.

  Tokens may be a tuple of arrays that do not see each other. One pass over the
  blocks for all of them takes each block's parameters once, and adds to its
  gradient in place; a scan for each of them would leave as many gradients.

  Attributes:
    block: makes a block; called with `name`.
    remat: a key of `REMAT_POLICIES`.
  """

  block: Callable[..., nn.Module]
  num_blocks: int
  remat: str = 'none'
  scan: bool = False

  @nn.compact
  def __call__(self, tokens: Any, per_block: jax.Array | None = None) -> Any:
    """Runs the stack; `per_block[i]` is the second argument of block i."""
    if self.remat not in REMAT_POLICIES:
      raise ValueError(
        f'Unknown remat {self.remat!r}; use one of {list(REMAT_POLICIES)}.'
      )

    def run(block, tokens, extra):
      arguments = () if extra is None else (extra,)

      def apply(tokens):
        return keep_rows_apart(block(tokens, *arguments))

      return jax.tree.map(apply, tokens), None

    if self.remat != 'none':
      policy = REMAT_POLICIES[self.remat]
      run = nn.remat(run, policy=policy, prevent_cse=not self.scan)
    if self.scan:
      scanned = nn.scan(
        run,
        variable_axes={'params': 0},
        split_rngs={'params': True, 'dropout': True},
        length=self.num_blocks,
      )
      return scanned(self.block(name='block'), tokens, per_block)[0]
    for i in range(self.num_blocks):
      extra = None if per_block is None else per_block[i]
      tokens, _ = run(self.block(name=f'block_{i:02d}'), tokens, extra)
    return tokens


class Encoder(nn.Module):
  """Self-attention blocks and a final norm; [..., N, D] -> [..., N, D].

  Tokens may be a tuple of arrays, see `BlockStack`.

  Attributes:
    block: what to stack, if not `SelfAttentionBlock`; takes its fields.
    final_norm: whether a norm follows the last block.
    final_norm_eps: of that norm, if not `norm_eps`.
    drop_path: in training, how often the last block is left out (see
      `DropPath`); rates rise from 0 at the first block.
  """

  num_blocks: int
  num_heads: Heads
  mlp_dim: int
  dtype: jnp.dtype = jnp.float32
  attention: str = 'auto'
  remat: str = 'none'
  scan: bool = False
  key_bias: bool = True
  activation: str = 'gelu_tanh'
  norm_eps: float = NORM_EPS
  final_norm: bool = True
  final_norm_eps: float | None = None
  block: Callable[..., nn.Module] = SelfAttentionBlock
  drop_path: float = 0.0

  @nn.compact
  def __call__(
    self, tokens: Any, num_clusters: int = 1, *, train: bool = False
  ) -> Any:
    """Encodes tokens; for `num_clusters` see `SelfAttentionBlock`."""
    block = functools.partial(
      self.block,
      self.num_heads,
      self.mlp_dim,
      self.dtype,
      self.attention,
      self.key_bias,
      self.activation,
      self.norm_eps,
    )
    if num_clusters > 1:
      block = functools.partial(block, num_clusters=num_clusters)
    if not 0 <= self.drop_path < 1:
      raise ValueError(f'drop_path={self.drop_path} must lie in [0, 1).')
    drop_rates = None
    if train and self.drop_path:
      drop_rates = jnp.linspace(0, self.drop_path, self.num_blocks)
    tokens = BlockStack(
      block, self.num_blocks, self.remat, self.scan, name='blocks'
    )(tokens, drop_rates)
    if not self.final_norm:
      return tokens
    eps = self.final_norm_eps
    eps = self.norm_eps if eps is None else eps
    return jax.tree.map(layer_norm(self.dtype, 'norm', eps), tokens)


class CrossEncoder(nn.Module):
  """Cross-attention blocks over one context, and a final norm.

  The keys and values of all blocks come from the same context, so one matrix
  product makes them all, once, however many groups of queries there are.
  [B, G, N, D] attending to [B, L, C] -> [B, G, N, D]. For `order` and `causal`
  see `CrossAttentionBlock`.
  """

  num_blocks: int
  num_heads: Heads
  mlp_dim: int
  dtype: jnp.dtype = jnp.float32
  attention: str = 'auto'
  remat: str = 'none'
  scan: bool = False
  order: tuple[str, ...] = CROSS_ATTENTION_FIRST
  causal: bool = False

  @nn.compact
  def __call__(self, tokens: jax.Array, context: jax.Array) -> jax.Array:
    heads = split_heads(tokens.shape[-1], self.num_heads)
    dense = dense_layer(self.attention)
    keys_values = dense(
      (self.num_blocks, 2, *heads),
      dtype=self.dtype,
      name='keys_values',
    )(context)
    # [B, L, blocks, 2, heads, d] -> [blocks, 2, B, L, heads, d]
    keys_values = keys_values.transpose(2, 3, 0, 1, 4, 5)
    block = functools.partial(
      CrossAttentionBlock,
      self.num_heads,
      self.mlp_dim,
      self.dtype,
      self.attention,
      self.order,
      self.causal,
    )
    tokens = BlockStack(
      block, self.num_blocks, self.remat, self.scan, name='blocks'
    )(tokens, keys_values)
    return layer_norm(self.dtype, 'norm')(tokens)


def stack_blocks(params: Any) -> Any:
  """Unrolled `block_00...` parameters as scanned ones (a leading axis)."""
  if not isinstance(params, dict):
    return params
  # By number: block_100 comes after block_11.
  names = sorted(params, key=lambda name: (len(name), name))
  blocks = [params[name] for name in names if name.startswith('block_')]
  if blocks:
    return {'block': jax.tree.map(lambda *leaves: jnp.stack(leaves), *blocks)}
  return {k: stack_blocks(v) for k, v in params.items()}


def unstack_blocks(params: Any) -> Any:
  """The inverse of `stack_blocks`; leaves unrolled parameters as they are."""
  if not isinstance(params, dict):
    return params
  if set(params) == {'block'}:
    num_blocks = len(jax.tree.leaves(params)[0])
    return {
      f'block_{i:02d}': jax.tree.map(lambda leaf, i=i: leaf[i], params['block'])
      for i in range(num_blocks)
    }
  return {k: unstack_blocks(v) for k, v in params.items()}
