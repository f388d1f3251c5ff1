"""Rows loaded ahead of need and put together to batches."""

import math
from collections.abc import Iterator

import grain
import numpy as np
from absl import flags

from rvmae_jax.batch import check_batch

Batch = dict[str, np.ndarray]


class Batches:
  """An iterable of batches.

  Args:
    rows: gives a few rows of a batch by index, [n, ...] for each key.
    num_items: how many of those make a batch.
    num_threads: that load rows, in each worker.
    num_workers: processes; 0 loads rows in threads of this one.
    prefetch: batches held ready.
  """

  def __init__(
    self,
    rows: grain.MapDataset,
    num_items: int,
    *,
    num_threads: int,
    num_workers: int,
    prefetch: int,
  ):
    self._rows = rows
    self._num_items = num_items
    self._num_threads = num_threads
    self._num_workers = num_workers
    self._prefetch = prefetch

  def __iter__(self) -> 'BatchIterator':
    return BatchIterator(self)

  def start_at(self, index: int) -> grain.DatasetIterator:
    """Begins to load the batches from number `index` on."""
    num_ahead = self._prefetch * self._num_items
    num_ahead = math.ceil(num_ahead / max(1, self._num_workers))
    rows = self._rows[index * self._num_items :].to_iter_dataset(
      grain.ReadOptions(
        num_threads=self._num_threads,
        prefetch_buffer_size=max(self._num_threads, num_ahead),
      )
    )
    if self._num_workers:
      # Grain reads its own flags; a test or a notebook has not parsed any.
      if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
      # Processes load rows, not batches: so their number changes no batch.
      rows = rows.mp_prefetch(
        grain.MultiprocessingOptions(
          num_workers=self._num_workers,
          per_worker_buffer_size=max(1, num_ahead),
        )
      )
    return iter(rows.batch(self._num_items, batch_fn=concatenate_rows))


class BatchIterator(Iterator[Batch]):
  """Gives batches in order; its state is the number of the next one.

  The first is checked against the contract in `rvmae_jax.batch`.

  Grain's own state depends on the number of workers. A number does not, so that
  a run may be resumed with more of them.
  """

  def __init__(self, batches: Batches):
    self._batches = batches
    self._next_index = 0
    self._loading = None
    self._is_checked = False

  def __next__(self) -> Batch:
    if self._loading is None:
      self._loading = self._batches.start_at(self._next_index)
    batch = next(self._loading)
    if not self._is_checked:  # All are made alike, so the first tells of all.
      check_batch(batch)
      self._is_checked = True
    self._next_index += 1
    return batch

  def get_state(self) -> dict[str, int]:
    """What `set_state` needs to go on with the batch that would be next."""
    return {'next_batch': self._next_index}

  def set_state(self, state: dict[str, int]) -> None:
    """Goes to the place where `get_state` was called."""
    self.close()
    self._next_index = state['next_batch']

  def close(self) -> None:
    """Stops loading; the next batch begins it anew."""
    if self._loading is not None:
      self._loading.close()
      self._loading = None


def concatenate_rows(items: list[Batch]) -> Batch:
  """One batch of all rows."""
  return {key: np.concatenate([i[key] for i in items]) for key in items[0]}
