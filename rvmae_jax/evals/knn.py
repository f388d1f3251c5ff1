"""On-line kNN: the class of a video is that of its nearest neighbours."""

import dataclasses

import numpy as np

from rvmae_jax.evals.probing import FeatureProbe
from rvmae_jax.metrics.features import similarities
from rvmae_jax.registry import check_counts


@dataclasses.dataclass(frozen=True, kw_only=True)
class KnnEval(FeatureProbe):
  """Accuracy of a weighted vote of the k nearest training videos.

  Cosine similarity of standardised features; a neighbour's vote weighs
  exp(similarity / temperature), as in Wu et al., arXiv 1805.01978. It trains
  nothing, so it is cheap enough to run beside training.

  Attributes:
    k: neighbours; all training videos where there are fewer.
    temperature: of the votes.
  """

  k: int = 20
  temperature: float = 0.07

  def __post_init__(self):
    super().__post_init__()
    check_counts(self, 'k')
    if self.temperature <= 0:
      raise ValueError(
        f'temperature={self.temperature} must be positive; 0.07 is usual.'
      )

  def fit(self, features, labels, seed):
    """Nothing is learned: the votes of the nearest are the answer."""
    del seed

    k = min(self.k, len(features))

    def classify(test):
      votes = np.zeros((len(test), labels.max() + 1), test.dtype)
      for rows, similarity in similarities(test, features):
        nearest = np.argpartition(-similarity, k - 1, axis=1)[:, :k]  # [m, k]
        closeness = np.take_along_axis(similarity, nearest, axis=1)
        # Only ratios count: the nearest votes with 1, and cannot underflow.
        closeness -= closeness.max(1, keepdims=True)
        places = rows[:, None], labels[nearest]
        np.add.at(votes, places, np.exp(closeness / self.temperature))
      return votes / votes.sum(1, keepdims=True)

    return classify, {}
