"""Tell the class of a clip: training from scratch, and fine-tuning."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from rvmae_jax.losses import weighted_terms
from rvmae_jax.losses.classification import smooth_labels
from rvmae_jax.objectives.mixing import Mixing
from rvmae_jax.objectives.statistics import network_metrics


class Supervised:
  """Weighted classification losses.

  Attributes:
    losses: loss name -> weight; each term is logged under its name.
    num_classes: logits of the model.
    label_smoothing: see `losses.classification.smooth_labels`.
    mixing: arguments of `objectives.mixing.Mixing` (mixup and cutmix, while
      training), or empty for none.
  """

  def __init__(
    self,
    losses: Mapping[str, float],
    num_classes: int,
    label_smoothing: float = 0.0,
    mixing: Mapping[str, float] | None = None,
  ):
    if not 0 <= label_smoothing < 1:
      raise ValueError(
        f'label_smoothing={label_smoothing} must be at least 0 and below 1.'
      )
    self.losses = weighted_terms(losses, ('classification',))
    self.num_classes = num_classes
    self.label_smoothing = label_smoothing
    self.mixing = Mixing(**mixing) if mixing else None

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
    under its own name, `accuracy` (top 1; of mixed clips, the class with the
    greater share), `num_counted` (clips with a label, by which parts of a batch
    weigh), and those of `objectives.statistics`.
    """
    video, label = batch['video'], batch['label']
    target = smooth_labels(label, self.num_classes, self.label_smoothing)
    target *= (label >= 0)[:, None]
    if self.mixing and train:
      rng, mixing_rng = jax.random.split(rng)
      video, target = self.mixing(video, target, mixing_rng)
    inputs = {**batch, 'video': video}
    outputs = apply(params, inputs, train=train, rng=rng)
    logits = outputs['logits']

    # Rows without a label have no share in the sum of the targets.
    weights = target.sum(-1)
    num_counted = weights.sum()
    num_labelled = jnp.maximum(num_counted, 1e-6)
    loss, metrics = jnp.zeros(()), {}
    for name, (term, weight) in self.losses.items():
      metrics[name] = term(logits, target).sum() / num_labelled
      loss += weight * metrics[name]
    is_right = logits.argmax(-1) == target.argmax(-1)
    metrics |= {
      'loss': loss,
      'accuracy': (is_right * weights).sum() / num_labelled,
      'num_counted': num_counted,
    }
    metrics |= network_metrics(outputs)
    return loss, jax.lax.stop_gradient(metrics)
