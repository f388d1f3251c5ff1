"""Features as colours: their first three principal components."""

import numpy as np


def pca_colours(features: np.ndarray) -> np.ndarray:
  """The first three principal components of all tokens together, as RGB.

  One projection for everything given, so that equal colours mean similar
  features in every frame and clip.

  Args:
    features: [..., D], D >= 3.

  Returns:
    [..., 3] in [0, 1]; the outer 1 % of each component is clipped.
  """
  tokens = features.reshape(-1, features.shape[-1]).astype(np.float64)
  tokens -= tokens.mean(0)
  directions = np.linalg.eigh(tokens.T @ tokens)[1][:, :-4:-1]  # [D, 3]
  # An eigenvector's sign is arbitrary; fix it, or colours flip at random.
  largest = np.abs(directions).argmax(0)
  directions *= np.sign(directions[largest, range(3)])
  components = tokens @ directions
  low, high = np.percentile(components, (1, 99), axis=0)
  colours = (components - low) / np.maximum(high - low, 1e-12)
  # [tokens, 3] -> [..., 3]
  return colours.clip(0, 1).reshape(*features.shape[:-1], 3)
