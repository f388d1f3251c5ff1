"""Progress: what is handed on, and what the log says."""

import logging
import time

import numpy as np

from rvmae_jax.evals.progress import progress


def test_batches_pass_and_the_log_tells_the_time_left(monkeypatch, caplog):
  # Each batch takes six seconds.
  clock = iter(np.arange(0.0, 60.0, 6.0))
  monkeypatch.setattr(time, 'monotonic', lambda: next(clock))
  batches = [{'video': np.zeros((4, 1))} for _ in range(3)]
  with caplog.at_level(logging.INFO):
    handed_on = list(progress(batches, 10, 'features'))
  assert handed_on == batches
  # After 12 s 8 of 10 are done; the padding of the last batch does not count.
  [line] = caplog.messages
  assert line == 'features: 8 of 10 videos, about 3 s left'


def test_other_things_count_one_by_one(monkeypatch, caplog):
  clock = iter([0.0, 11.0, 12.0])
  monkeypatch.setattr(time, 'monotonic', lambda: next(clock))
  with caplog.at_level(logging.INFO):
    list(progress(['a', 'b'], 2, 'heads', unit='steps'))
  assert caplog.messages == ['heads: 1 of 2 steps, about 11 s left']
