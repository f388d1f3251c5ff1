"""Features without labels: their rank, spread and similarity."""

from collections.abc import Iterator

import numpy as np

_AT_ONCE = 20_000_000  # Similarities that are held.


def rank_me(features: np.ndarray) -> float:
  """Effective rank: the exponential of the entropy of the singular values.

  1 where all features lie on one line, min(n, D) where they fill all directions
  alike. Garrido et al., "RankMe", arXiv 2210.02885, equation 1.

  Args:
    features: [n, D], not centred.
  """
  values = singular_values(features)
  shares = values[values > 0] / values.sum()
  return float(np.exp(-(shares * np.log(shares)).sum()))


def singular_values(features: np.ndarray) -> np.ndarray:
  """Of features [n, D]: min(n, D) numbers, falling.

  What is below float32's precision counts as 0.
  """
  values = np.linalg.svd(np.float64(features), compute_uv=False)
  floor = values[0] * max(features.shape) * np.finfo(np.float32).eps
  return np.where(values > floor, values, 0)


def mean_cosine(features: np.ndarray) -> float:
  """Mean cosine similarity of all pairs of [n, D] rows, n >= 2.

  1 where all features point the same way: a collapse.
  """
  unit = unit_rows(np.float64(features))
  num = len(unit)
  # Sum over all pairs, those of a row with itself left out.
  total = np.square(unit.sum(0)).sum() - np.square(unit).sum()
  return float(total / (num * (num - 1)))


def spread(features: np.ndarray) -> np.ndarray:
  """Deviation of each dimension of unit vectors, times sqrt(D): [n, D] -> [D].

  Its mean is about 1 for vectors that point everywhere, 0 in a collapse. Chen &
  He, "SimSiam", arXiv 2011.10566, figure 2.
  """
  return unit_rows(np.float64(features)).std(0) * np.sqrt(features.shape[1])


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """Cosine similarity of [n, D] rows with those of another: [n]."""
  first, second = np.float64(first), np.float64(second)
  return (unit_rows(first) * unit_rows(second)).sum(1)


def similarities(
  queries: np.ndarray, gallery: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """Cosines of queries [m, D] with a gallery [n, D], some queries at a time.

  Args:
    queries, gallery: rows of any length.

  Yields:
    The numbers of k queries [k], and their cosines [k, n].
  """
  queries, gallery = unit_rows(queries), unit_rows(gallery)
  num_rows = max(_AT_ONCE // len(gallery), 1)
  for start in range(0, len(queries), num_rows):
    rows = np.arange(start, min(start + num_rows, len(queries)))
    yield rows, queries[rows] @ gallery.T


def unit_rows(features: np.ndarray) -> np.ndarray:
  """Rows of [n, D] at length 1, in the same precision; zeros stay zeros."""
  norm = np.linalg.norm(features, axis=1, keepdims=True)
  return features / np.maximum(norm, 1e-12)


def mean_and_scale(by: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """What `standardise` takes away from features [n, D], and divides by: [D]."""
  return by.mean(0), by.std(0) + 1e-6


def standardise(by: np.ndarray, *others: np.ndarray) -> tuple[np.ndarray, ...]:
  """Features and others [..., D] where `by` [n, D] has mean 0, deviation 1."""
  mean, scale = mean_and_scale(by)
  return tuple((features - mean) / scale for features in (by, *others))
