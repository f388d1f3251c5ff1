"""How far a long pass over videos is, and how long it will still take."""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from absl import logging

_EVERY_S = 10.0


def progress(
  batches: Iterable[Any], num_videos: int, what: str
) -> Iterator[Any]:
  """Hands batches on and logs every ten seconds how many videos are done.

  Args:
    batches: of videos, with `video`; or else each a single one.
    num_videos: in all of them.
    what: is being done, such as 'features'.
  """
  began = shown = time.monotonic()
  num_done = 0
  for batch in batches:
    yield batch
    count = len(batch['video']) if isinstance(batch, Mapping) else 1
    num_done = min(num_done + count, num_videos)
    now = time.monotonic()
    if now - shown > _EVERY_S:
      shown, left_s = now, (now - began) / num_done * (num_videos - num_done)
      logging.info(
        '%s: %d of %d videos, about %.0f s left',
        *(what, num_done, num_videos, left_s),
      )
