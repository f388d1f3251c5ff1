"""Work on many files at a time, with progress."""

import concurrent.futures
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

_SHOW_EVERY_S = 5


def in_threads(
  work: Callable[[Any], Any],
  items: Sequence[Any],
  num_workers: int = 0,
  what: str = 'videos checked',
) -> list[Any]:
  """Results in order. Decoding and hashing run without Python's lock.

  Args:
    work: is called with each item.
    items: any.
    num_workers: threads; 0 means one for each CPU core.
    what: is counted in the lines of progress.

  Raises:
    Exception: the first that `work` has raised.
  """
  began = shown = time.monotonic()
  workers = concurrent.futures.ThreadPoolExecutor(num_workers or os.cpu_count())
  try:
    futures = [workers.submit(work, item) for item in items]
    completed = concurrent.futures.as_completed(futures)
    for done, future in enumerate(completed, 1):
      future.result()  # An error ends it now, not after all the others.
      now = time.monotonic()
      if now - shown > _SHOW_EVERY_S:
        shown = now
        left_s = (now - began) / done * (len(items) - done)
        print(
          f'{done} of {len(items)} {what}, {left_s:.0f} s left',
          file=sys.stderr,
          flush=True,
        )
    return [future.result() for future in futures]
  finally:
    workers.shutdown(cancel_futures=True)
