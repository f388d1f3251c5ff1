"""Guards: divisibility, values not finite, signals."""

import os
import signal
import subprocess
import sys

import jax
import pytest

from rvmae_jax.training import guards


def test_divisibility_names_all_numbers():
  guards.check_divisible(64, devices=8, processes=2, accumulation_steps=4)
  with pytest.raises(ValueError) as error:
    guards.check_divisible(72, devices=8, processes=2, accumulation_steps=4)
  for part in (
    'batch_size=72',
    '8 devices',
    '2 processes',
    'accumulation_steps=4',
    'multiple of 32, such as 64 or 96',
  ):
    assert part in str(error.value)


@pytest.mark.parametrize(
  'wrong', [{'batch_size': 0}, {'batch_size': -8}, {'accumulation_steps': 0}]
)
def test_sizes_below_one_are_named(wrong):
  sizes = {'batch_size': 8, 'accumulation_steps': 1, **wrong}
  [(name, number)] = wrong.items()
  with pytest.raises(ValueError, match=rf'config\.{name}={number} must be at'):
    guards.check_divisible(**sizes, devices=1, processes=1)


def test_too_many_skipped_steps_stop_with_metric_and_steps():
  guard = guards.NonFiniteGuard(max_skipped=2)
  nan = float('nan')
  for step in range(1, 100):
    guard.check(step, {'loss': 1.0, 'grad_norm': 1.0, 'psnr_hidden': nan})
  guard.check(100, {'loss': nan, 'grad_norm': nan})
  guard.check(110, {'loss': 1.0, 'grad_norm': float('inf')})
  with pytest.raises(
    FloatingPointError,
    match=r'3 steps between 100 and 120 .*=2\. At step 120: loss=nan',
  ):
    guard.check(120, {'loss': nan, 'grad_norm': 1.0})


def test_first_signal_is_noticed_and_handlers_come_back():
  before = signal.getsignal(signal.SIGTERM)
  with guards.StopSignal(lambda: None) as stop:
    assert not stop.received(1)
    os.kill(os.getpid(), signal.SIGTERM)
    assert stop.received(2)
    with pytest.raises(guards.Interrupted) as left:
      stop.leave('saved step 2')
  assert left.value.code == 143
  assert signal.getsignal(signal.SIGTERM) == before


_TWO_SIGNALS = """
import os, signal
from absl import logging
from rvmae_jax.training import guards
logging.set_verbosity(logging.INFO)
with guards.StopSignal(lambda: {saved}):
  os.kill(os.getpid(), signal.SIGINT)
  os.kill(os.getpid(), signal.SIGINT)
print('went on')
"""


@pytest.mark.parametrize(
  ('saved', 'lost'),
  [
    (20, 'all steps after the last checkpoint, step 20, are lost then'),
    (None, 'all steps so far are lost then'),
  ],
)
def test_a_second_ctrl_c_ends_at_once_and_the_first_says_what_is_lost(
  saved, lost
):
  process = subprocess.run(
    [sys.executable, '-c', _TWO_SIGNALS.format(saved=saved)],
    capture_output=True,
    text=True,
    env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)},
  )
  assert process.returncode == -signal.SIGINT
  assert 'went on' not in process.stdout
  assert lost in process.stderr


def test_ctrl_c_reaches_the_service_of_several_processes(monkeypatch):
  """It listens to SIGTERM; here a handler stands in for it."""
  monkeypatch.setattr(jax, 'process_count', lambda: 2)
  heard = []
  before = signal.signal(signal.SIGTERM, lambda *_: heard.append('SIGTERM'))
  # Of processes in the background it is ignored.
  interrupt = signal.getsignal(signal.SIGINT)
  try:
    with guards.StopSignal(lambda: None):
      os.kill(os.getpid(), signal.SIGINT)
      assert heard == ['SIGTERM']
      assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is interrupt
  finally:
    signal.signal(signal.SIGTERM, before)
