"""What happens to videos that cannot be decoded.

A bad video is replaced by the next good one in the order of its source (the
record after it, then the one after that, ...; the first follows the last), so
that every run and every process replaces it alike. Its path and reason are
logged once, the rows it should have filled are counted, and a run with too
many of them stops.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from absl import logging

from rvmae_jax.data.decoding import VideoError

_MAX_TRIES = 16

_logged: set[str] = set()


def read_or_replace(
  source, index: int, read: Callable[[dict], Any]
) -> tuple[Any, int]:
  """Reads record `index` of a source, or the next one that can be read.

  Args:
    source: a random-access source of records.
    index: where to begin.
    read: turns a record into what is wanted; raises VideoError.

  Returns:
    What `read` gave, and how many bad videos were passed over.

  Raises:
    VideoError: `index` and the records after it are all bad.
  """
  errors = []
  for step in range(min(_MAX_TRIES, len(source))):
    try:
      return read(source[(index + step) % len(source)]), step
    except VideoError as error:
      errors.append(error)
      _log_once(error)
  raise VideoError(
    errors[0].path,
    f'{errors[0].reason}; nor can the {len(errors) - 1} records after it be '
    'read. Run `python -m rvmae_jax.tools.doctor videos DIR` to list all bad '
    'files.',
  )


def readable_records(source, count: int | None = None) -> Iterator:
  """The records of a source that can be read; no video is opened.

  Args:
    source: a random-access source of records.
    count: of records, evenly spread as `data.max_videos`; None takes all.

  Yields:
    Index and record; a damaged one is logged and passed over.
  """
  count = count or len(source)
  for index in (i * len(source) // count for i in range(count)):
    try:
      record = source[index]
    except VideoError as error:
      _log_once(error)
    else:
      yield index, record


def _log_once(error: VideoError) -> None:
  if error.path not in _logged:
    _logged.add(error.path)
    logging.warning('Bad video, skipped: %s', error)


class BadVideoGuard:
  """Counts rows whose video was bad; stops a run that has too many.

  A run with the allowed share of bad videos meets more of them now and then, so
  chance is allowed for: four standard deviations of what is drawn at random.

  Args:
    max_share: greatest allowed share of videos, from 0 to 1.
    min_rows: rows to see before judging.
    repeats: rows of one video, which are bad together.
  """

  def __init__(self, max_share: float, min_rows: int = 100, repeats: int = 1):
    self.max_share = max_share
    self.min_rows = min_rows
    self.repeats = repeats
    self.num_bad = 0
    self.num_rows = 0

  def update(self, bad_videos: np.ndarray) -> None:
    """Takes `host/bad_videos` [B] of a batch.

    Raises:
      RuntimeError: of all rows so far, more were bad than `max_share` and
        chance explain.
    """
    self.num_bad += int(np.count_nonzero(bad_videos))
    self.num_rows += len(bad_videos)
    if self.num_rows >= self.min_rows and self.num_bad > self._most():
      share = self.num_bad / self.num_rows
      raise RuntimeError(
        f'{self.num_bad} of {self.num_rows} rows ({share:.1%}) asked for a '
        f'video that cannot be decoded; data.max_bad_share={self.max_share} '
        f'and chance allow {self._most():.0f}. The log names each with its '
        'reason; `python -m rvmae_jax.tools.doctor videos DIR` lists them all. '
        'Remove them, or raise data.max_bad_share.'
      )

  def _most(self) -> float:
    """How many bad rows are tolerated, of those so far."""
    share, rows = self.max_share, self.num_rows
    deviation = math.sqrt(share * (1 - share) * rows * self.repeats)
    return share * rows + 4 * deviation

  def metrics(self) -> dict[str, float]:
    """`data/bad_videos`: rows of this process replaced so far."""
    return {'data/bad_videos': float(self.num_bad)}
