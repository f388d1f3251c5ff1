"""What all masks share: counting visible tokens and turning scores into ids."""

import math

import numpy as np


def count_visible(num_tokens: int, ratio: float) -> int:
  """How many of `num_tokens` stay visible when the share `ratio` is hidden.

  Rounded down, as MAE and RVM do: 256 tokens at 0.95 leave int(12.8) = 12.

  Raises:
    ValueError: no token would be visible, or none hidden.
  """
  # Rounding first: 100 * (1 - 0.9) is 9.999999999999998 and means 10.
  num_visible = math.floor(round(num_tokens * (1 - ratio), 6))
  if not 0 < num_visible < num_tokens:
    raise ValueError(
      f'Mask ratio {ratio} leaves {num_visible} of {num_tokens} tokens '
      'visible; at least one must be visible and one hidden. Use a ratio of '
      f'at most {(num_tokens - 1) / num_tokens:.4f} and at least '
      f'{1 / num_tokens:.4f}, or a finer patch grid.'
    )
  return num_visible


def split_by_score(
  scores: np.ndarray, num_visible: int
) -> tuple[np.ndarray, np.ndarray]:
  """Splits tokens into visible (lowest scores) and hidden ones.

  Args:
    scores: [..., N]; uniform random numbers give a uniformly random split.
    num_visible: K, tokens to keep along the last axis.

  Returns:
    `ids_keep` [..., K] and `ids_mask` [..., N - K], int32, each sorted;
    together they hold every token once.
  """
  order = np.argsort(scores, axis=-1, kind='stable').astype(np.int32)
  return (
    np.sort(order[..., :num_visible], axis=-1),
    np.sort(order[..., num_visible:], axis=-1),
  )
