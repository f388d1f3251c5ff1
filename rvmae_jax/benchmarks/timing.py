"""How long something takes."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import jax


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


def seconds_in_turns(
  contestants: Mapping[str, Callable[[Any], Any]],
  given: Any,
  num_rounds: int,
  times_a_round: int,
) -> dict[str, list[float]]:
  """Seconds of each call of several functions, which take turns.

  Args:
    contestants: name -> what is timed; called once before, to compile.
    given: what each is called with.
    num_rounds: turns of each.
    times_a_round: calls in a turn.
  """
  for run in contestants.values():
    jax.block_until_ready(run(given))
  times_s = {name: [] for name in contestants}
  for _ in range(num_rounds):
    for name, run in contestants.items():
      for _ in range(times_a_round):
        start = time.perf_counter()
        jax.block_until_ready(run(given))
        times_s[name].append(time.perf_counter() - start)
  return times_s
