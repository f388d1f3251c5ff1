"""Transformer cores: what carries a video's past from frame to frame.

Every core turns encoded frames into features, none of which depends on a later
frame: `core.run(tokens)`. All but `AttentionCore` are one step
`(state, inputs) -> (state, outputs)`, which `run` scans over time and a stream
calls directly.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from rvmae_jax.layers.attention import Heads
from rvmae_jax.layers.positions import sincos_1d
from rvmae_jax.layers.transformer import CrossEncoder, Encoder

# A gate is called saturated when its value is this close to 0 or 1.
SATURATION_MARGIN = 0.05

Stats = dict[str, jax.Array]


class Core(nn.Module):
  """The settings that all cores share.

  Attributes:
    remat: what each block keeps for the backward pass, see `REMAT_POLICIES` of
      `layers.transformer`. By default nothing: in a recurrence, storing results
      at every step and loading them again takes longer than recomputing them.
  """

  num_blocks: int
  num_heads: Heads
  mlp_dim: int
  width: int
  dtype: jnp.dtype = jnp.float32
  attention: str = 'auto'
  remat: str = 'full'
  scan_layers: bool = False


class UngatedCore(Core):
  """A recurrence without gates, for ablation: s' = Tx(query=x, context=LN(s)).

  It is `GatedTransformerCore` with both gates at 1, and has its parameters but
  for theirs.
  """

  def setup(self):
    self.state_norm = nn.LayerNorm(
      epsilon=1e-4, use_bias=False, dtype=self.dtype
    )
    self.transformer = CrossEncoder(
      self.num_blocks,
      self.num_heads,
      self.mlp_dim,
      self.dtype,
      self.attention,
      self.remat,
      self.scan_layers,
    )

  def project_input(self, tokens: jax.Array) -> jax.Array | None:
    """The gates' input half, [..., N, D] -> [..., N, 2, D]; None here.

    It does not need the state, so that training makes it for all frames at
    once, outside the scan over time.
    """
    del tokens
    return None

  def gates(self, state: jax.Array, input_gates: jax.Array | None) -> jax.Array:
    """Update and reset gate, float32: [B, N, D] -> [B, N, 2, D]."""
    del input_gates
    return jnp.ones((*state.shape[:2], 2, self.width))

  def __call__(
    self, state: jax.Array, inputs: tuple[jax.Array, jax.Array | None]
  ) -> tuple[jax.Array, tuple[jax.Array, Stats]]:
    """One step.

    Args:
      state: [B, N, D] float32; zeros before the first frame.
      inputs: encoded frame [B, N, D] and its `project_input`.

    Returns:
      The new state, and (the output tokens, which equal it; statistics:
      `update_gate`, `reset_gate` [B, N] means over D, `gate_saturation` and
      `state_norm` [B]).
    """
    tokens, input_gates = inputs
    gates = self.gates(state, input_gates)
    update, reset = gates[:, :, 0], gates[:, :, 1]
    context = reset.astype(self.dtype) * self.state_norm(state)
    candidate = self.transformer(tokens[:, None], context)[:, 0]
    state = (1 - update) * state + update * candidate.astype(jnp.float32)
    saturated = jnp.abs(gates - 0.5) > 0.5 - SATURATION_MARGIN
    stats = {
      'update_gate': update.mean(-1),
      'reset_gate': reset.mean(-1),
      'gate_saturation': saturated.mean((1, 2, 3)),
      'state_norm': jnp.sqrt((state**2).sum(-1)).mean(-1),
    }
    return state, (state, jax.lax.stop_gradient(stats))

  def run(
    self,
    tokens: jax.Array,
    unroll: int = 1,
    state: jax.Array | None = None,
  ) -> tuple[jax.Array, jax.Array, Stats]:
    """All frames, one after the other.

    Args:
      tokens: encoded frames [B, T, N, D].
      unroll: frames in one iteration of the scan over time.
      state: [B, N, D] that an earlier run left; None is one of zeros.

    Returns:
      Features [B, T, N, D] and last state [B, N, D], float32, and statistics
      with time as their second axis.
    """
    if state is None:
      state = jnp.zeros(tokens.shape[:1] + tokens.shape[2:], jnp.float32)
    scan = nn.scan(
      lambda core, state, inputs: core(state, inputs),
      variable_broadcast='params',
      split_rngs={'params': False},
      in_axes=1,
      out_axes=1,
      unroll=unroll,
    )
    state, (features, stats) = scan(
      self, state, (tokens, self.project_input(tokens))
    )
    return features, state, stats


class GatedTransformerCore(UngatedCore):
  """One step of RVM's recurrence, a GRU whose candidate is a transformer.

  With state s and an encoded frame x, per token:

      u = sigmoid(W_iu x + W_su s)        update gate
      r = sigmoid(W_ir x + W_sr s)        reset gate
      h = Tx(query=x, context=r * LN(s))  candidate
      s' = (1 - u) s + u h

  The state stays float32: over a long stream its small updates would be lost
  to bfloat16 rounding. Source: arXiv 2512.13684.
  """

  def setup(self):
    super().setup()

    def gates():
      return nn.DenseGeneral((2, self.width), use_bias=False, dtype=self.dtype)

    # Update gate first, reset gate second.
    self.input_gates = gates()
    self.state_gates = gates()

  def project_input(self, tokens: jax.Array) -> jax.Array:
    """The gates' input half, [..., N, D] -> [..., N, 2, D]."""
    return self.input_gates(tokens)

  def gates(self, state: jax.Array, input_gates: jax.Array) -> jax.Array:
    """Update and reset gate, float32: [B, N, D] -> [B, N, 2, D]."""
    logits = input_gates + self.state_gates(state.astype(self.dtype))
    return nn.sigmoid(logits.astype(jnp.float32))


class BiasedCore(GatedTransformerCore):
  """RVM's recurrence with biases in its gates, for ablation.

  The update gate's starts at -1: the state begins by keeping 73 % of itself.
  """

  def setup(self):
    super().setup()
    self.gate_bias = self.param(
      'gate_bias',
      lambda key, shape: jnp.zeros(shape).at[0].set(-1.0),
      (2, self.width),
    )

  def project_input(self, tokens: jax.Array) -> jax.Array:
    """The gates' input half with the biases, [..., N, D] -> [..., N, 2, D]."""
    return super().project_input(tokens) + self.gate_bias.astype(self.dtype)


class AttentionCore(Core):
  """Self-attention in place of a recurrence, for ablation.

  A ViT over the tokens of all frames at once, in which a token sees those of
  its own and of earlier frames. It has no state that a stream could carry: the
  past would grow with every frame.
  """

  @nn.compact
  def run(
    self, tokens: jax.Array, unroll: int = 1
  ) -> tuple[jax.Array, jax.Array, Stats]:
    """All frames at once; the last features stand for a state."""
    del unroll
    batch_size, num_frames, _, width = tokens.shape
    times = jnp.asarray(sincos_1d(num_frames, width), self.dtype)
    # [B, T, N, D] -> [B, T*N, D]
    clip = (tokens + times[:, None]).reshape(batch_size, -1, width)
    features = Encoder(
      self.num_blocks,
      self.num_heads,
      self.mlp_dim,
      self.dtype,
      self.attention,
      self.remat,
      self.scan_layers,
      name='transformer',
    )(clip, num_clusters=num_frames)
    features = features.reshape(tokens.shape).astype(jnp.float32)
    return features, features[:, -1], {}


CORES = {
  'gated': GatedTransformerCore,
  'ungated': UngatedCore,
  'biased': BiasedCore,
  'attention': AttentionCore,
}
