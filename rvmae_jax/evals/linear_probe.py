"""Linear probe: multinomial logistic regression on frozen pooled features."""

import dataclasses
from collections.abc import Sequence

import flax.linen as nn
import numpy as np
import scipy.optimize
import scipy.special
import threadpoolctl

from rvmae_jax.evals.heads import (
  TrainedHeads,
  cross_entropy,
  hold_out,
  most_accurate,
  shuffled,
)
from rvmae_jax.evals.kept_probe import LinearClassifier
from rvmae_jax.evals.probing import FeatureProbe
from rvmae_jax.metrics.classification import top_k_accuracy
from rvmae_jax.registry import check_known, check_share

_PENALTIES = (1.0, 0.1, 0.01, 1e-3, 1e-4)
_BY_STEPS = {
  'learning_rates': (0.003, 0.01, 0.03, 0.1, 0.3),
  'weight_decays': (0.0, 1e-3, 1e-2),
  'num_epochs': 100,
}
# Solver -> its settings and their defaults.
_SETTINGS = {
  'lbfgs': {'penalties': _PENALTIES},
  'sgd': _BY_STEPS,
  'lars': _BY_STEPS,
}
_SMALL = 10_000_000  # Numbers in a matrix.
_SMALL_NORMAL = nn.initializers.normal(0.01)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LinearProbeEval(FeatureProbe):
  """Accuracy of a linear classifier, tuned without the test videos.

  Its settings are chosen by accuracy on a held-out part of the training videos,
  which is reported as `validation_top1`.

  `solver='lbfgs'` finds the minimum for each of `penalties`, and again on all
  training videos for the one chosen. 'sgd' and 'lars' are the field's own way:
  a linear layer behind a batch norm without scale and bias (here the
  standardisation by all training videos, which that norm's running averages
  only estimate), trained for `num_epochs` on batches of `train.batch_size`,
  all `learning_rates` and `weight_decays` at once; the best is taken as it is.

  Attributes:
    solver: 'lbfgs', 'sgd' or 'lars'.
    penalties: candidates of 'lbfgs', see `fit_logistic`; empty takes five
      from 1e-4 to 1.
    held_out: the share of training videos that chooses.
    learning_rates: candidates of the others; empty takes five from 0.003 to
      0.3.
    weight_decays: combined with each rate; empty takes 0, 1e-3 and 1e-2.
    num_epochs: of their training; 0 takes 100.
  """

  solver: str = 'lbfgs'
  penalties: Sequence[float] = ()
  held_out: float = 0.2
  learning_rates: Sequence[float] = ()
  weight_decays: Sequence[float] = ()
  num_epochs: int = 0

  def __post_init__(self):
    super().__post_init__()
    check_share(self, 'held_out')
    check_known('solver', _SETTINGS, self.solver)
    own = _SETTINGS[self.solver]
    others = {*_BY_STEPS, 'penalties'} - {*own}
    self.refuse_unused(
      others, f'for solver={self.solver!r}, which has {", ".join(own)}'
    )
    self.resolve(**{k: getattr(self, k) or own[k] for k in own})

  @property
  def num_trainings(self) -> int:
    """How many classifiers are trained, with those that are not chosen."""
    num_candidates = len(self.penalties) + 1
    if self.solver != 'lbfgs':
      num_candidates = len(self.learning_rates) * len(self.weight_decays)
    return num_candidates * len(self.encoders) * len(self.poolings) * self.seeds

  def fit(self, features, labels, seed):
    """A linear classifier by the solver of choice."""
    if self.solver != 'lbfgs':
      return self._fit_by_steps(features, labels, seed)
    # On small matrices the threads of BLAS wait for each other longer than
    # they work: 30 times slower on a busy machine.
    num_threads = 1 if features.size < _SMALL else None
    with threadpoolctl.threadpool_limits(num_threads):
      penalty, validation_top1 = self.choose_penalty(features, labels, seed)
      weights, bias = fit_logistic(features, labels, penalty)
    return LinearClassifier(weights, bias), {
      'validation_top1': validation_top1,
      'penalty': penalty,
    }

  def choose_penalty(
    self, features: np.ndarray, labels: np.ndarray, seed: int
  ) -> tuple[float, float]:
    """The penalty most accurate on held-out rows (the largest if several are).

    Its accuracy on them is returned as well.

    Args:
      features, labels, seed: as of `fit`.
    """
    rows, held_out_rows = hold_out(len(labels), self.held_out, seed)
    spectrum = principal_axes(features[rows])
    accuracies = {}
    for penalty in sorted(self.penalties, reverse=True):
      weights, bias = fit_logistic(
        features[rows],
        labels[rows],
        penalty,
        num_classes=labels.max() + 1,
        spectrum=spectrum,
        # Penalties can be ranked before their fits have fully converged.
        tolerance=1e-3,
      )
      accuracies[penalty] = top_k_accuracy(
        features[held_out_rows] @ weights + bias, labels[held_out_rows]
      )
    penalty = max(accuracies, key=accuracies.get)
    return penalty, accuracies[penalty]

  def _fit_by_steps(self, features, labels, seed):
    rows, held_out_rows = hold_out(len(labels), self.held_out, seed)
    batch_size = min(self.train.batch_size, len(rows))
    heads = TrainedHeads(
      nn.Dense(int(labels.max()) + 1, kernel_init=_SMALL_NORMAL),
      features,
      loss=cross_entropy,
      optimizer=self.solver,
      rates=self.learning_rates,
      decays=self.weight_decays,
      num_steps=self.num_epochs * (len(rows) // batch_size),
      seed=seed,
    )
    for batch in shuffled(rows, batch_size, self.num_epochs, seed):
      heads.train([features[batch]], [labels[batch], np.ones(batch_size)])
    held_out = heads.answer(features[held_out_rows]), labels[held_out_rows]
    number, validation_top1 = most_accurate([held_out])
    head = heads.parameters(number)
    return LinearClassifier(head['kernel'], head['bias']), {
      'validation_top1': validation_top1,
      **heads.setting(number),
    }


def fit_logistic(
  features: np.ndarray,
  labels: np.ndarray,
  penalty: float,
  num_classes: int | None = None,
  spectrum: tuple[np.ndarray, np.ndarray] | None = None,
  tolerance: float = 1e-5,
) -> tuple[np.ndarray, np.ndarray]:
  """Multinomial logistic regression with an L2 penalty, by L-BFGS.

  Minimises mean cross-entropy + penalty / 2 * |weights|^2; the bias is free.
  scikit-learn's `LogisticRegression(C=1 / (penalty * n))` is the same problem.

  Args:
    features: [n, D], centred.
    labels: [n] int, 0 to classes - 1.
    penalty: strength, above 0.
    num_classes: classes; those in `labels` if None.
    spectrum: `principal_axes(features)` where it is known already.
    tolerance: of the gradient's greatest entry.

  Returns:
    weights [D, classes] and bias [classes].
  """
  num_rows = len(features)
  num_classes = num_classes or int(labels.max()) + 1
  one_hot = np.eye(num_classes)[labels]

  # Features of networks are strongly correlated, and L-BFGS then takes
  # thousands of steps. Along the principal axes, scaled by about the curvature
  # of the loss there, it takes tens and ends at the same minimum.
  variance, axes = spectrum or principal_axes(features)
  curvature = variance / num_classes + penalty
  axes = axes / np.sqrt(curvature)
  features = features @ axes

  def loss_and_gradient(parameters):
    # [(D + 1) * classes] -> [D + 1, classes]; the last row is the bias.
    parameters = parameters.reshape(-1, num_classes)
    weights, bias = parameters[:-1], parameters[-1]
    shrinkage = penalty * weights / curvature[:, None]
    log_p = scipy.special.log_softmax(features @ weights + bias, axis=1)
    error = (np.exp(log_p) - one_hot) / num_rows
    loss = (weights * shrinkage).sum() / 2 - (log_p * one_hot).sum() / num_rows
    gradient = np.vstack([features.T @ error + shrinkage, error.sum(0)])
    return loss, gradient.ravel()

  solution = scipy.optimize.minimize(
    loss_and_gradient,
    np.zeros((features.shape[1] + 1) * num_classes),
    jac=True,
    method='L-BFGS-B',
    options={'maxiter': 1000, 'gtol': tolerance},
  )
  # [(D + 1) * classes] -> [D + 1, classes]
  parameters = solution.x.reshape(-1, num_classes)
  return axes @ parameters[:-1], parameters[-1]


def principal_axes(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Mean squares of features [n, D] along r orthogonal axes, and the axes.

  Axes without any extent are left out; an L2 penalty keeps weights at 0 there.

  Returns:
    [r] float64 and [D, r] float64, r <= min(n, D).
  """
  features = np.float64(features)
  num_rows, width = features.shape
  if width <= num_rows:
    variance, axes = np.linalg.eigh(features.T @ features / num_rows)
  else:
    variance, rows = np.linalg.eigh(features @ features.T / num_rows)
    axes = features.T @ rows / np.sqrt(num_rows * np.maximum(variance, 1e-300))
  keep = variance > 1e-10 * variance.max()
  return variance[keep], axes[:, keep]
