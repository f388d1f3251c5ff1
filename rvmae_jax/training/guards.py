"""What stops a run: sizes that do not fit, values not finite, signals."""

import math
import os
import signal
from collections.abc import Callable, Mapping

import jax
from absl import logging
from jax.experimental import multihost_utils


def check_divisible(
  batch_size: int, *, devices: int, processes: int, accumulation_steps: int
) -> None:
  """Checks that a global batch can be cut into equal parts.

  Raises:
    ValueError: names all numbers and the nearest batch sizes that fit.
  """
  sizes = {'batch_size': batch_size, 'accumulation_steps': accumulation_steps}
  for name, number in sizes.items():
    if number < 1:
      raise ValueError(f'config.{name}={number} must be at least 1.')
  unit = math.lcm(devices, processes) * accumulation_steps
  if batch_size % unit:
    below = batch_size // unit * unit
    raise ValueError(
      f'config.batch_size={batch_size} cannot be spread over {devices} devices '
      f'of {processes} processes in config.accumulation_steps='
      f'{accumulation_steps} parts: it must be a multiple of {unit}, such as '
      f'{f"{below} or " if below else ""}{below + unit}.'
    )


class NonFiniteGuard:
  """Counts skipped steps of this process's life; stops when there are too many.

  Args:
    max_skipped: skipped steps to tolerate.
  """

  def __init__(self, max_skipped: int):
    self.max_skipped = max_skipped
    self._skipped: list[int] = []

  def check(self, step: int, metrics: Mapping[str, float]) -> None:
    """Looks at the metrics of one step.

    Raises:
      FloatingPointError: more than `max_skipped` steps were skipped; names the
        metrics and the steps.
    """
    bad = {
      name: float(value)
      for name, value in metrics.items()
      if not math.isfinite(value)
    }
    if not {'loss', 'grad_norm'} & bad.keys():
      return
    self._skipped.append(step)
    named = ', '.join(f'{name}={value}' for name, value in bad.items())
    logging.warning('Step %d was skipped: %s.', step, named)
    if len(self._skipped) > self.max_skipped:
      raise FloatingPointError(
        f'{len(self._skipped)} steps between {self._skipped[0]} and {step} '
        f'were skipped, more than config.log.max_skipped={self.max_skipped}. '
        f'At step {step}: {named}. Lower the learning rate, lengthen the '
        'warm-up or look at the data of these steps. No parameter was updated '
        'by them.'
      )


class Interrupted(SystemExit):
  """The run was told to stop, saved its state and leaves."""


class StopSignal:
  """Notices that the run is told to stop (SIGTERM, Ctrl-C).

  A context manager. The first signal raises a flag, to be read between steps,
  and says what a second one would lose; that one ends the process at once, even
  in the middle of compiling. With several processes all agree on
  the step after which they stop, whichever of them got the signal: JAX's
  preemption service, which then listens to SIGTERM itself, sees to that. It
  does not know Ctrl-C, which is passed on to it as SIGTERM.

  Args:
    last_saved: gives the step of the last complete checkpoint, or None.
  """

  def __init__(self, last_saved: Callable[[], int | None]):
    self.signal: signal.Signals | None = None
    self._last_saved = last_saved
    self._previous = {}

  def __enter__(self) -> 'StopSignal':
    handlers = {signal.SIGTERM: self._notice, signal.SIGINT: self._notice}
    if jax.process_count() > 1:
      handlers = {signal.SIGINT: self._pass_on}
    for number, handler in handlers.items():
      self._previous[number] = signal.signal(number, handler)
    return self

  def __exit__(self, *unused):
    self._restore()

  def received(self, step: int) -> bool:
    """Whether to stop after this step; call it once in each step."""
    several = jax.process_count() > 1
    if several and multihost_utils.reached_preemption_sync_point(step):
      self.signal = signal.SIGTERM
    return self.signal is not None

  def leave(self, message: str) -> None:
    """Ends the process: exit status 128 + signal, as a shell would report.

    Raises:
      Interrupted: always.
    """
    logging.info('%s: %s', self.signal.name, message)
    raise Interrupted(128 + self.signal)

  def _notice(self, number, frame):
    del frame
    self.signal = signal.Signals(number)
    self._announce(self.signal)

  def _pass_on(self, number, frame):
    del frame
    self._announce(signal.Signals(number))
    os.kill(os.getpid(), signal.SIGTERM)

  def _announce(self, received: signal.Signals):
    """Says what happens now, and lets a second signal end the process."""
    # Python's own handlers would wait until a compilation or a save is over.
    for number in self._previous:
      signal.signal(number, signal.SIG_DFL)
    saved = self._last_saved()
    logging.info(
      '%s: saving after this step, then leaving. A second one stops at once; '
      'all steps %s are lost then.',
      received.name,
      f'after the last checkpoint, step {saved},' if saved else 'so far',
    )

  def _restore(self):
    while self._previous:
      signal.signal(*self._previous.popitem())
