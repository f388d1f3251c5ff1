"""A linear probe that an evaluation kept, to classify clips with."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
import scipy.special

from rvmae_jax import files
from rvmae_jax.evals.pooling import Pooling
from rvmae_jax.registry import check_known

_PREFIX = 'probe'
_ARRAYS = ('mean', 'scale', 'weights', 'bias', 'classes', 'num_frames')


class LinearClassifier(NamedTuple):
  """Class probabilities [m, n] of features [m, D].

  Attributes:
    weights, bias: [D, n] and [n].
  """

  weights: np.ndarray
  bias: np.ndarray

  def __call__(self, features: np.ndarray) -> np.ndarray:
    return scipy.special.softmax(features @ self.weights + self.bias, axis=1)


@dataclasses.dataclass(frozen=True)
class KeptProbe:
  """What makes logits of pooled features.

  Attributes:
    pooling: see `evals.pooling`.
    mean, scale: [D], of the training videos.
    weights, bias: [D, n] and [n], of standardised features.
    classes: [n] int, the label that each logit stands for.
    num_frames: of the clips that it learned from.
    class_names: of labels from 0 up, where they have names.
  """

  pooling: str
  mean: np.ndarray
  scale: np.ndarray
  weights: np.ndarray
  bias: np.ndarray
  classes: np.ndarray
  num_frames: int
  class_names: Sequence[str] = ()

  def arrays(self) -> dict[str, np.ndarray]:
    """By name, as `read` takes them."""
    return {
      f'{_PREFIX}/{self.pooling}/{name}': getattr(self, name)
      for name in _ARRAYS
    }

  def logits(self, features: jax.Array, tubelet_size: int) -> jax.Array:
    """Of features of a clip's grid, [B, t, N, D] -> [B, n] float32."""
    pooled = Pooling.named(self.pooling)(features, tubelet_size)
    mean, scale, weights, bias = (
      np.float32(array)
      for array in (self.mean, self.scale, self.weights, self.bias)
    )
    return ((pooled - mean) / scale) @ weights + bias


def read(path: str | pathlib.Path, pooling: str = '') -> KeptProbe:
  """The probe that a linear probe's evaluation kept.

  Args:
    path: of its arrays.npz, or of the folder that has it.
    pooling: which one, where there are several.

  Raises:
    ValueError: there is none, or more than one to choose from.
  """
  path = pathlib.Path(path)
  if path.is_dir():
    path /= 'arrays.npz'
  with (
    files.naming(path, 'has no linear probe that can be read', remedy=''),
    np.load(path) as found,
  ):
    known = sorted(
      {name.split('/')[1] for name in found if name.startswith(f'{_PREFIX}/')}
    )
    if not known:
      raise ValueError(
        'no probe was saved: evaluate again, with an evaluation `linear_probe` '
        'and into another --workdir'
      )
    if not pooling and len(known) > 1:
      raise ValueError(f'choose one of its poolings: {", ".join(known)}')
    pooling = pooling or known[0]
    check_known('pooling', known, pooling)
    arrays = {name: found[f'{_PREFIX}/{pooling}/{name}'] for name in _ARRAYS}
    arrays['num_frames'] = int(arrays['num_frames'])
    return KeptProbe(
      pooling, **arrays, class_names=found['class_names'].tolist()
    )
