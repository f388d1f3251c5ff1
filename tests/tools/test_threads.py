"""Work in threads: order, and what an error costs."""

import time

import pytest

from rvmae_jax.tools.threads import in_threads


def test_results_are_in_the_order_of_the_items():
  def work(item):
    time.sleep(0.01 * (3 - item))
    return 10 * item

  assert in_threads(work, range(4), num_workers=4) == [0, 10, 20, 30]


def test_an_error_ends_it_at_once():
  begun = []

  def work(item):
    begun.append(item)
    time.sleep(0.01)
    if not item:
      raise PermissionError('a.mp4')

  with pytest.raises(PermissionError, match='mp4'):
    in_threads(work, range(100), num_workers=1)
  assert len(begun) < 50
