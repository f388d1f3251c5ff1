"""The gated transformer core: what carries a video's state through time."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from rvmae_jax.layers.transformer import CrossEncoder

# A gate is called saturated when its value is this close to 0 or 1.
SATURATION_MARGIN = 0.05


class GatedTransformerCore(nn.Module):
  """One step of RVM's recurrence, a GRU whose candidate is a transformer.

  With state s and an encoded frame x, per token:

    u = sigmoid(W_iu x + W_su s)        update gate
    r = sigmoid(W_ir x + W_sr s)        reset gate
    h = Tx(query=x, context=r * LN(s))  candidate
    s' = (1 - u) s + u h

  The state stays float32: over a long stream its small updates would be lost
  to bfloat16 rounding. Source: arXiv 2512.13684.
  """

  num_blocks: int
  num_heads: int
  mlp_dim: int
  width: int
  dtype: jnp.dtype = jnp.float32
  attention: str = 'auto'
  remat: str = 'none'
  scan_layers: bool = False

  def setup(self):
    def gates():
      return nn.DenseGeneral((2, self.width), use_bias=False, dtype=self.dtype)

    # Update gate first, reset gate second.
    self.input_gates = gates()
    self.state_gates = gates()
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

  def project_input(self, tokens: jax.Array) -> jax.Array:
    """The gates' input half, [..., N, D] -> [..., N, 2, D].

    It does not need the state, so that training makes it for all frames at
    once, outside the scan over time.
    """
    return self.input_gates(tokens)

  def __call__(
    self, state: jax.Array, inputs: tuple[jax.Array, jax.Array]
  ) -> tuple[jax.Array, tuple[jax.Array, dict[str, jax.Array]]]:
    """One step.

    Args:
      state: [B, N, D] float32; zeros before the first frame.
      inputs: encoded frame [B, N, D] and its `project_input` [B, N, 2, D].

    Returns:
      The new state, and (the output tokens, which equal it; statistics:
      `update_gate`, `reset_gate` [B, N] means over D, `gate_saturation` and
      `state_norm` [B]).
    """
    tokens, input_gates = inputs
    logits = input_gates + self.state_gates(state.astype(self.dtype))
    gates = nn.sigmoid(logits.astype(jnp.float32))
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
