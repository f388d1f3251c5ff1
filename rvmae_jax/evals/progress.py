"""Progress of a long pass, and how long the rest will take."""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from absl import logging

_EVERY_S = 10.0


def progress(
  batches: Iterable[Any], total: int, what: str, unit: str = 'videos'
) -> Iterator[Any]:
  """Hands batches on and logs every ten seconds how much is done.

  Args:
    batches: of videos, with `video`; or else each counts as one.
    total: videos, or whatever `unit` is, in all of them.
    what: is being done, such as 'features'.
    unit: what is counted.
  """
  began = shown = time.monotonic()
  num_done = 0
  for batch in batches:
    yield batch
    count = len(batch['video']) if isinstance(batch, Mapping) else 1
    num_done = min(num_done + count, total)
    now = time.monotonic()
    if now - shown > _EVERY_S:
      shown, left_s = now, (now - began) / num_done * (total - num_done)
      logging.info(
        '%s: %d of %d %s, about %.0f s left',
        *(what, num_done, total, unit, left_s),
      )
