"""Losses that tell matching rows from others."""

import jax
import jax.numpy as jnp


def info_nce(
  query: jax.Array, key: jax.Array, temperature: float = 0.2
) -> jax.Array:
  """InfoNCE of each row against all rows, float32: [B, D] twice -> [B].

  Cross-entropy of finding a row's own key by cosine similarity among the keys
  of the whole (global) batch, times `2 * temperature`, which keeps the
  gradient's size about the same at any temperature. Source: MoCo v3
  (arXiv 2104.02057), algorithm 1.

  Args:
    query: what asks.
    key: what is to be found; row i belongs to query i.
    temperature: similarities are divided by it.
  """
  log_probabilities = jax.nn.log_softmax(
    cosine_similarities(query, key) / temperature
  )
  return -2 * temperature * jnp.diagonal(log_probabilities)


def cosine_similarities(query: jax.Array, key: jax.Array) -> jax.Array:
  """Of all rows with all rows: [B, D], [K, D] -> [B, K] float32."""
  query, key = unit_length(query), unit_length(key)
  return jnp.matmul(query, key.T, precision='highest')


def unit_length(vectors: jax.Array) -> jax.Array:
  """Vectors scaled to length 1 (0 stays 0), float32: [..., D] -> same."""
  vectors = vectors.astype(jnp.float32)
  square = jnp.square(vectors).sum(-1, keepdims=True)
  return vectors * jax.lax.rsqrt(jnp.maximum(square, 1e-24))
