"""Rows loaded ahead of need and assembled into batches."""

import functools
import math
import os
from collections.abc import Iterator

import grain
import numpy as np
from absl import flags

from rvmae_jax.batch import check_batch
from rvmae_jax.data.processes import serve_parent

Batch = dict[str, np.ndarray]


class Batches:
  """An iterable of batches.

  Args:
    rows: gives a few rows of a batch by index, [n, ...] for each key.
    num_items: how many of those make a batch.
    num_threads: that load rows, in each worker.
    num_workers: processes; 0 loads rows in threads of this one.
    prefetch: batches held ready.
    process_index: which of the processes of a job this is.
    process_count: how many share each global batch; they get its rows in order.

  Attributes:
    global_items: how many of `rows` make a global batch.
  """

  def __init__(
    self,
    rows: grain.MapDataset,
    num_items: int,
    *,
    num_threads: int,
    num_workers: int,
    prefetch: int,
    process_index: int = 0,
    process_count: int = 1,
  ):
    self.global_items = num_items * process_count
    self._rows = rows
    self._num_items = num_items
    self._num_threads = num_threads
    self._num_workers = num_workers
    self._prefetch = prefetch
    self._process_index = process_index
    self._process_count = process_count

  def __iter__(self) -> 'BatchIterator':
    return BatchIterator(self)

  def start_at(self, item: int) -> grain.DatasetIterator:
    """Begins to load batches; the first one begins with number `item`."""
    num_ahead = self._prefetch * self._num_items
    num_ahead = math.ceil(num_ahead / max(1, self._num_workers))
    rows = _ProcessShare(
      self._rows[item:],
      self._num_items,
      self._process_index,
      self._process_count,
    ).to_iter_dataset(
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
        ),
        functools.partial(_serve, os.getpid()),
      )
    return iter(rows.batch(self._num_items, batch_fn=concatenate_rows))


class BatchIterator(Iterator[Batch]):
  """Gives batches in order; its state is the number of the next record.

  The records of all processes are counted. Unlike Grain's own state or a number
  of batches, this number depends neither on workers nor on the batch size, so a
  run may be resumed with other values of both. The first batch is checked
  against the contract in `rvmae_jax.batch`.
  """

  def __init__(self, batches: Batches):
    self._batches = batches
    self._next_record = 0
    self._loading = None
    self._is_checked = False

  def __next__(self) -> Batch:
    if self._loading is None:
      self._loading = self._batches.start_at(self._next_record)
    batch = next(self._loading)
    if not self._is_checked:  # All are made alike, so the first tells of all.
      check_batch(batch)
      self._is_checked = True
    self._next_record += self._batches.global_items
    return batch

  def get_state(self) -> dict[str, int]:
    """What `set_state` needs to continue with the batch that would be next."""
    return {'next_record': self._next_record}

  def set_state(self, state: dict[str, int]) -> None:
    """Goes to the place where `get_state` was called."""
    self.close()
    self._next_record = state['next_record']

  def close(self) -> None:
    """Stops loading; the next batch begins it anew."""
    if self._loading is not None:
      self._loading.close()
      self._loading = None

  def __del__(self):
    # One that is dropped halfway leaves no process behind.
    self.close()


class _ProcessShare(grain.MapDataset):
  """The part of every global batch that belongs to one process.

  A global batch is `process_count` blocks of `num_records` consecutive
  records; laid side by side in the order of the processes they are what a
  single process would have read.
  """

  def __init__(
    self,
    parent: grain.MapDataset,
    num_records: int,
    process_index: int,
    process_count: int,
  ):
    super().__init__(parent)
    self._num_records = num_records
    self._process_index = process_index
    self._process_count = process_count

  def __len__(self) -> int:
    return len(self._parent) // self._process_count

  def __getitem__(self, index):
    if isinstance(index, slice):
      return self.slice(index)
    batch, place = divmod(index, self._num_records)
    block = batch * self._process_count + self._process_index
    return self._parent[block * self._num_records + place]


def _serve(parent: int, worker: int, num_workers: int) -> None:
  del worker, num_workers  # Grain gives them.
  serve_parent(parent)


def concatenate_rows(items: list[Batch]) -> Batch:
  """One batch of all rows."""
  return {key: np.concatenate([i[key] for i in items]) for key in items[0]}
