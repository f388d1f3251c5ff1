"""Tell the class of a clip: training from scratch, and fine-tuning."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from rvmae_jax.losses import LOSSES
from rvmae_jax.losses.classification import smooth_labels


class Supervised:
  """Weighted classification losses.

  Attributes:
    losses: loss name -> weight; each term is logged under its name.
    label_smoothing: see `losses.classification.smooth_labels`.
  """

  def __init__(self, losses: Mapping[str, float], label_smoothing: float = 0.0):
    if not 0 <= label_smoothing < 1:
      raise ValueError(
        f'label_smoothing={label_smoothing} must be at least 0 and below 1.'
      )
    self.terms = {name: (LOSSES.get(name), w) for name, w in losses.items()}
    self.label_smoothing = label_smoothing

  def __call__(
    self,
    apply: Callable[..., Mapping[str, Any]],
    params: Any,
    batch: Mapping[str, jax.Array],
    *,
    rng: jax.Array,
    train: bool,
  ) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Loss and scalar metrics of a batch with `label`.

    Clips without a label (-1) count for nothing. Metrics: `loss`, each term
    under its own name, `accuracy` (top 1) and `labelled`, the share of clips
    that have a label.
    """
    logits = apply(params, batch, train=train, rng=rng)['logits']
    label = batch['label']
    target = smooth_labels(label, logits.shape[-1], self.label_smoothing)
    labelled = (label >= 0).astype(jnp.float32)

    def mean(values):
      return (values * labelled).sum() / jnp.maximum(labelled.sum(), 1)

    loss, metrics = jnp.zeros(()), {}
    for name, (term, weight) in self.terms.items():
      metrics[name] = mean(term(logits, target))
      loss += weight * metrics[name]
    metrics |= {
      'loss': loss,
      'accuracy': mean(logits.argmax(-1) == label),
      'labelled': labelled.mean(),
    }
    return loss, jax.lax.stop_gradient(metrics)
