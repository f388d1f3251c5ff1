"""Prefetching: order, positions, errors and waiting time."""

import time

import numpy as np
import pytest

from rvmae_jax.training.prefetch import Prefetcher


class _Counter:
  """Yields batches 0, 1, ..; its state is the number of the next one."""

  def __init__(self, end=100, delay_s=0.0):
    self.next, self.end, self.delay_s = 0, end, delay_s
    self.closed = False

  def __next__(self):
    if self.next == self.end:
      raise StopIteration
    time.sleep(self.delay_s)
    self.next += 1
    return {
      'video': np.full((2, 1), self.next - 1),
      'host/bad_videos': np.zeros(2),
    }

  def get_state(self):
    return {'next': self.next}

  def close(self):
    self.closed = True


def test_each_batch_carries_the_position_after_it():
  iterator = _Counter()
  batches = Prefetcher(iterator, put=lambda batch: batch, depth=3)
  for number in range(5):
    fetched = next(batches)
    assert fetched.batch['video'][0, 0] == number
    assert fetched.position == {'next': number + 1}
  batches.close()
  assert iterator.next > 5  # It did read ahead.
  assert iterator.closed


def test_host_entries_are_not_put_on_devices():
  seen = []
  batches = Prefetcher(_Counter(), put=lambda b: seen.append(set(b)) or b)
  assert set(next(batches).host) == {'host/bad_videos'}
  batches.close()
  assert seen[0] == {'video'}


def test_the_end_and_errors_reach_the_caller_again_and_again():
  batches = Prefetcher(_Counter(end=2), put=lambda batch: batch)
  assert len(list(batches)) == 2
  with pytest.raises(StopIteration):
    next(batches)
  batches.close()

  def fail(batch):
    raise RuntimeError('disk is gone')

  batches = Prefetcher(_Counter(), put=fail)
  for _ in range(2):
    with pytest.raises(RuntimeError, match='disk is gone'):
      next(batches)
  batches.close()


def test_waiting_is_measured():
  batches = Prefetcher(_Counter(delay_s=0.05), put=lambda batch: batch)
  for _ in range(4):
    next(batches)
  batches.close()
  assert 0.15 < batches.wait_s < 1.0
