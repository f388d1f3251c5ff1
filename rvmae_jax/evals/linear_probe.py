"""Linear probe: multinomial logistic regression on frozen pooled features."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy.optimize
import scipy.special
import threadpoolctl

from rvmae_jax.evals.probing import FeatureProbe
from rvmae_jax.metrics.classification import top_k_accuracy

_PENALTIES = (1.0, 0.1, 0.01, 1e-3, 1e-4)
_SMALL = 10_000_000  # Numbers in a matrix.


@dataclasses.dataclass(kw_only=True)
class LinearProbeEval(FeatureProbe):
  """Accuracy of a linear classifier whose penalty test never saw.

  The penalty is chosen by accuracy on a held-out part of the training videos;
  the classifier is then fitted to all of them.

  Attributes:
    penalties: candidates, see `fit_logistic`.
    held_out: the share of training videos that chooses.
  """

  penalties: Sequence[float] = _PENALTIES
  held_out: float = 0.2

  def scores(self, train, labels, test):
    # On small matrices the threads of BLAS wait for each other longer than
    # they work: 30 times slower on a busy machine.
    num_threads = 1 if train.size < _SMALL else None
    with threadpoolctl.threadpool_limits(num_threads):
      penalty = choose_penalty(
        train, labels, self.penalties, self.held_out, self.videos.seed
      )
      weights, bias = fit_logistic(train, labels, penalty)
    return test @ weights + bias


def choose_penalty(
  features: np.ndarray,
  labels: np.ndarray,
  penalties: Sequence[float] = _PENALTIES,
  held_out: float = 0.2,
  seed: int = 0,
) -> float:
  """The penalty that is most accurate on held-out rows, the larger of equals.

  Args:
    features: [n, D].
    labels: [n] int, 0 to classes - 1.
    penalties: candidates.
    held_out: share of rows, drawn at random.
    seed: of the draw.
  """
  order = np.random.default_rng(seed).permutation(len(labels))
  num_held_out = max(round(held_out * len(labels)), 1)
  held_out_rows, rows = order[:num_held_out], order[num_held_out:]
  spectrum = principal_axes(features[rows])
  accuracies = {}
  for penalty in sorted(penalties, reverse=True):
    weights, bias = fit_logistic(
      features[rows],
      labels[rows],
      penalty,
      num_classes=labels.max() + 1,
      spectrum=spectrum,
      # To rank penalties takes less than the last digits of each.
      tolerance=1e-3,
    )
    accuracies[penalty] = top_k_accuracy(
      features[held_out_rows] @ weights + bias, labels[held_out_rows]
    )
  return max(accuracies, key=accuracies.get)


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
