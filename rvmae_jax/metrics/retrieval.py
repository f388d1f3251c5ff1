"""How early a ranked gallery shows what was asked for."""

import numpy as np


def rank(similarity: np.ndarray, is_relevant: np.ndarray) -> np.ndarray:
  """Relevance in the order of falling similarity.

  Of equally similar entries the irrelevant come first, so that features which
  tell nothing apart are not rewarded for the order of the gallery.

  Args:
    similarity: [queries, gallery]; an entry of -inf is not in the gallery.
    is_relevant: [queries, gallery] bool.

  Returns:
    [queries, gallery] bool. What is not in the gallery comes last and is
    irrelevant.
  """
  is_relevant = is_relevant & np.isfinite(similarity)
  order = np.lexsort((is_relevant, -similarity), axis=1)
  return np.take_along_axis(is_relevant, order, axis=1)


def recalls(ranked: np.ndarray, k: int) -> np.ndarray:
  """Whether each query finds something relevant among the first k.

  Recall@k as video retrieval counts it: one hit is enough.

  Args:
    ranked: [queries, gallery] bool of `rank`.
    k: entries that are looked at.

  Returns:
    [queries] bool.
  """
  return ranked[:, :k].any(1)


def average_precisions(ranked: np.ndarray) -> np.ndarray:
  """Mean precision at the place of each relevant entry.

  Args:
    ranked: [queries, gallery] bool of `rank`.

  Returns:
    [queries] in [0, 1]; 0 for a query that nothing in the gallery answers.
  """
  hits = ranked.cumsum(1)
  precision = hits / np.arange(1, ranked.shape[1] + 1)
  return (precision * ranked).sum(1) / np.maximum(hits[:, -1], 1)


def chance_recalls(
  num_relevant: np.ndarray, num_gallery: int, k: int
) -> np.ndarray:
  """What a random order recalls: the chance of a hit among the first k.

  Args:
    num_relevant: [queries] int, in the gallery.
    num_gallery: entries in all.
    k: entries that are looked at.

  Returns:
    [queries] in [0, 1].
  """
  drawn = np.arange(min(k, num_gallery))
  misses = num_gallery - num_relevant[:, None] - drawn
  return 1 - np.prod(np.maximum(misses, 0) / (num_gallery - drawn), axis=1)


def chance_average_precisions(
  num_relevant: np.ndarray, num_gallery: int
) -> np.ndarray:
  """The mean over all orders of `average_precisions`, [queries].

  Where place i of G is relevant, so are s = (R - 1) / (G - 1) of the i - 1
  places before it: its precision is (1 + (i - 1) s) / i = s + (1 - s) / i. Each
  place is as likely to be relevant as the others, so the mean is that over
  places.

  Args:
    num_relevant: [queries] int, in the gallery.
    num_gallery: entries in all.
  """
  share = (num_relevant - 1) / max(num_gallery - 1, 1)
  mean = share + (1 - share) * np.mean(1 / np.arange(1, num_gallery + 1))
  return np.where(num_relevant, mean, 0)
