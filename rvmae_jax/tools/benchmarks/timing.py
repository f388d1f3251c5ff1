"""How long something takes."""

import time
from collections.abc import Callable
from typing import Any


def seconds_of(run: Callable[[], Any], seconds: float) -> float:
  """Seconds that `run` takes, by mean.

  Args:
    run: returns only once it is done, on the device too.
    seconds: it is run for about so long, at least once, after one time that is
      not counted.
  """
  run()
  times, start = 0, time.perf_counter()
  while times == 0 or time.perf_counter() - start < seconds:
    run()
    times += 1
  return (time.perf_counter() - start) / times
