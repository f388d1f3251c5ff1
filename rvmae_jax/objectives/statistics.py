"""Scalars that tell how a network is doing, whatever its loss.

They are logged with every step's loss; `training.health` knows which values are
a bad sign.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

_LEAST = 1e-12  # Squares below it count as 0.
_MIN_CLIPS = 4


def network_metrics(outputs: Mapping[str, Any]) -> dict[str, jax.Array]:
  """Metrics of a model's features and of its recurrent core, if it has one.

  Args:
    outputs: outputs of a model. Without `features`, or with too few clips to
      tell how they differ, metrics of features are left out; without `stats`,
      those of the core.
  """
  metrics = {}
  if len(outputs.get('features', ())) >= _MIN_CLIPS:
    metrics |= feature_metrics(outputs['features'])
  if outputs.get('stats'):  # Cores that carry no state have none.
    metrics |= core_metrics(outputs['stats'], outputs['features'])
  return jax.lax.stop_gradient(metrics)


def feature_metrics(features: jax.Array) -> dict[str, jax.Array]:
  """How far apart the clips of a batch are, by the means of their features.

  Args:
    features: [B, ..., D].

  Returns:
    `features/deviation`, the clips' deviation from their mean as a share of
    their root mean square (0: all are alike), and `features/rank`, over how
    many directions it is spread, from 1 to B - 1: the participation ratio of
    the covariance's eigenvalues, (sum l)^2 / sum l^2.
  """
  rows = pooled(features)
  centred = rows - rows.mean(0)
  variance, power = jnp.square(centred).sum(), jnp.square(rows).sum()
  # A scale of 1 keeps the squares of small features from vanishing.
  centred *= jax.lax.rsqrt(jnp.maximum(variance, _LEAST))
  covariance = jnp.einsum('bi,bj->ij', centred, centred)
  trace = jnp.square(centred).sum()
  rank = trace**2 / jnp.maximum(jnp.square(covariance).sum(), _LEAST)
  return {
    'features/deviation': jnp.sqrt(variance / jnp.maximum(power, _LEAST)),
    'features/rank': rank,
  }


def core_metrics(
  stats: Mapping[str, jax.Array], features: jax.Array
) -> dict[str, jax.Array]:
  """What a recurrent core does.

  Args:
    stats: of `layers.recurrence`, with time as their second axis.
    features: [B, T, N, D], the state after each frame.

  Returns:
    Means of gates and of their saturation; the state's norm after the first
    and the last frame; and, of two frames or more, `core/state_change`: the
    root mean square of its change from frame to frame, as a share of its own.
  """
  metrics = {
    f'core/{name}': stats[name].mean()
    for name in ('update_gate', 'reset_gate', 'gate_saturation')
  }
  norms = stats['state_norm'].mean(axis=0)  # [T]
  metrics |= {
    'core/state_norm_first': norms[0],
    'core/state_norm_last': norms[-1],
  }
  if features.shape[1] > 1:
    features = features.astype(jnp.float32)
    changes = jnp.square(jnp.diff(features, axis=1)).sum()
    power = jnp.square(features[:, 1:]).sum()
    change = jnp.sqrt(changes / jnp.maximum(power, _LEAST))
    metrics['core/state_change'] = change
  return metrics


def pooled(features: jax.Array) -> jax.Array:
  """Means over times and places: [B, ..., D] -> [B, D] float32."""
  # [B, ..., D] -> [B, L, D]
  features = features.reshape(len(features), -1, features.shape[-1])
  return features.astype(jnp.float32).mean(1)
