"""What all masks share: counting visible tokens and turning scores into ids."""

import math

import numpy as np


def count_visible(
  num_tokens: int,
  ratio: float,
  round_down: str = 'visible',
  of: str = 'tokens',
) -> int:
  """How many of `num_tokens` stay visible when the share `ratio` is hidden.

  Args:
    num_tokens: visible and hidden together.
    ratio: share to hide.
    round_down: the count that is rounded down. 'visible', as in MAE and RVM:
      256 tokens at 0.95 leave int(12.8) = 12. 'hidden', as in VideoMAE: 196
      tokens at 0.9 hide int(176.4) = 176 and leave 20.
    of: what is counted, for the error.

  Raises:
    ValueError: no token would be visible, or none hidden.
  """
  whole = math.floor if round_down == 'visible' else math.ceil
  # Rounding first: 100 * (1 - 0.9) is 9.999999999999998 and means 10.
  num_visible = whole(round(num_tokens * (1 - ratio), 6))
  if not 0 < num_visible < num_tokens:
    # Rounded inwards: what is advised must pass.
    most = 10_000 * (num_tokens - 1) // num_tokens
    least = -(-10_000 // num_tokens)
    raise ValueError(
      f'Mask ratio {ratio} leaves {num_visible} of {num_tokens} {of} '
      'visible; at least one must be visible and one hidden. Use a ratio of '
      f'at most {most / 10_000} and at least {least / 10_000}, or more {of}.'
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


def split_slots(
  scores: np.ndarray, num_visible: int
) -> tuple[np.ndarray, np.ndarray]:
  """Splits the tokens of every time slot by itself.

  Args:
    scores: [t, N], a row for each slot.
    num_visible: K, tokens to keep in each slot.

  Returns:
    `ids_keep` [t * K] and `ids_mask` [t * (N - K)], int32, each sorted; they
    count through all slots.
  """
  num_slots, num_places = scores.shape
  first = num_places * np.arange(num_slots, dtype=np.int32)[:, None]
  ids_keep, ids_mask = split_by_score(scores, num_visible)
  return (ids_keep + first).ravel(), (ids_mask + first).ravel()
