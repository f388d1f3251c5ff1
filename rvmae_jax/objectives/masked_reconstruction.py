"""Rebuild what the mask hides; the objective of masked autoencoders."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from rvmae_jax.layers import patches
from rvmae_jax.losses import LOSSES, pixel


class MaskedReconstruction:
  """Weighted pixel losses between predicted and true patches.

  Attributes:
    losses: loss name -> weight; each term is logged under its name.
    patch_size: pixels.
    patches: 'all' compares every patch of a target (RVM), 'hidden' only those
      that were masked.
    normalize: see `losses.pixel.patch_statistics`.
  """

  def __init__(
    self,
    losses: Mapping[str, float],
    patch_size: int,
    patches: str = 'all',
    normalize: str = 'none',
  ):
    if patches not in ('all', 'hidden'):
      raise ValueError(f"Unknown patches={patches!r}; use 'all' or 'hidden'.")
    if not losses:
      raise ValueError(
        f'No losses given; set config.losses, for example {{"pixel_l2": 1.0}}. '
        f'Known: {", ".join(LOSSES.names())}.'
      )
    self.losses = {
      name: (LOSSES.get(name), weight) for name, weight in losses.items()
    }
    self.patch_size = patch_size
    self.patches = patches
    self.normalize = normalize

  def __call__(
    self,
    apply: Callable[..., Mapping[str, Any]],
    params: Any,
    batch: Mapping[str, jax.Array],
    *,
    rng: jax.Array,
    train: bool,
  ) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Loss and scalar metrics of a batch with `target` and `ids_keep`.

    Metrics: `loss`, each term under its own name, `psnr_hidden` (dB, mean over
    target frames, in pixel space whatever the normalisation), and the core's
    statistics where the model gives them.
    """
    outputs = apply(params, batch, train=train, rng=rng)
    pred = outputs['pred']
    target = patches.patchify(batch['target'], self.patch_size)
    target = patches.to_unit_float(target)  # [B, S, N, p*p*3]
    hidden = hidden_mask(batch['ids_keep'], target.shape[-2])
    shift, scale = pixel.patch_statistics(target, self.normalize)
    normalized = (target - shift) / scale

    mask = hidden if self.patches == 'hidden' else None
    loss, metrics = jnp.zeros(()), {}
    for name, (term, weight) in self.losses.items():
      metrics[name] = pixel.masked_mean(term(pred, normalized), mask)
      loss += weight * metrics[name]

    error = pixel.l2(pred * scale + shift, target)  # [B, S, N]
    frame_error = (error * hidden).sum(-1) / hidden.sum(-1)
    psnr = -10 * jnp.log10(jnp.maximum(frame_error, 1e-10))
    metrics |= {'loss': loss, 'psnr_hidden': psnr.mean()}
    metrics |= core_metrics(outputs.get('stats', {}))
    return loss, jax.lax.stop_gradient(metrics)

  def to_pixels(
    self, pred: jax.Array, batch: Mapping[str, jax.Array]
  ) -> jax.Array:
    """Predicted patches [B, S, N, p*p*3] in [0, 1].

    Normalised patches get the true ones' mean and scale, as is the custom; they
    then know more than patches that were predicted as they are.
    """
    target = patches.patchify(batch['target'], self.patch_size)
    target = patches.to_unit_float(target)
    shift, scale = pixel.patch_statistics(target, self.normalize)
    return pred * scale + shift


def hidden_mask(ids_keep: jax.Array, num_tokens: int) -> jax.Array:
  """1 at hidden tokens, 0 at visible ones: [..., K] -> [..., N] float32."""
  return 1 - jax.nn.one_hot(ids_keep, num_tokens).sum(axis=-2)


def core_metrics(stats: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
  """Scalars of the recurrent core: gates, saturation, state norm over time."""
  if not stats:
    return {}
  metrics = {
    f'core/{name}': stats[name].mean()
    for name in ('update_gate', 'reset_gate', 'gate_saturation')
  }
  norms = stats['state_norm'].mean(axis=0)  # [T]
  return metrics | {
    'core/state_norm_first': norms[0],
    'core/state_norm_last': norms[-1],
  }
