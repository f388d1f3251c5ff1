"""Losses of class predictions."""

import jax
import jax.numpy as jnp


def cross_entropy(logits: jax.Array, target: jax.Array) -> jax.Array:
  """Cross-entropy of each row, float32: [B, C] twice -> [B].

  Args:
    logits: scores of the classes.
    target: probabilities of the classes, see `smooth_labels`.
  """
  log_probabilities = jax.nn.log_softmax(logits.astype(jnp.float32))
  return -(target * log_probabilities).sum(-1)


def smooth_labels(
  label: jax.Array, num_classes: int, smoothing: float
) -> jax.Array:
  """Class probabilities [B, C]: `1 - smoothing`, the rest spread over all.

  Args:
    label: [B] class numbers.
    num_classes: C.
    smoothing: from 0 to 1. Source: arXiv 1512.00567, section 7.
  """
  one_hot = jax.nn.one_hot(label, num_classes)
  return one_hot * (1 - smoothing) + smoothing / num_classes
