"""Numbers that the processes of a job share."""

import numpy as np

from rvmae_jax.training import distributed


def test_counts_of_processes_are_added(monkeypatch):
  monkeypatch.setattr(
    distributed.multihost_utils,
    'process_allgather',
    lambda counts: np.stack([counts, 2 * counts]),
  )
  found = distributed.sum_over_processes({'a': 1.0, 'b': 3.0})
  assert found == {'a': 3.0, 'b': 9.0}
