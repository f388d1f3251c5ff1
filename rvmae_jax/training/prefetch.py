"""Batches put on the device ahead of need."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from rvmae_jax.batch import split_host


class Fetched(NamedTuple):
  """One batch and where the data stood after it.

  Attributes:
    batch: what `put` made of the batch.
    host: the entries that stay on the host (keys `host/...`).
    position: the data iterator's state after this batch; starting again from
      it gives the next one.
  """

  batch: dict[str, Any]
  host: dict[str, Any]
  position: Any


class Prefetcher:
  """Reads batches in a thread and puts them on the device ahead of need.

  The data iterator runs ahead of the training step, so its own state is not
  that of the batch in use; each batch therefore carries its own position.

  Args:
    iterator: yields dicts of numpy arrays; has `get_state` and `close`.
    put: places a batch without host entries on the devices.
    depth: batches that wait on the device.

  Attributes:
    wait_s: seconds that the caller has spent waiting for data.
  """

  def __init__(
    self,
    iterator: Iterator[dict[str, Any]],
    put: Callable[[dict[str, Any]], dict[str, Any]],
    depth: int = 2,
  ):
    self.wait_s = 0.0
    self._iterator = iterator
    self._put = put
    self._queue = queue.Queue(maxsize=depth)
    self._closed = threading.Event()
    self._thread = threading.Thread(
      target=self._read, name='prefetch', daemon=True
    )
    self._thread.start()

  def __iter__(self):
    return self

  def __next__(self) -> Fetched:
    """The next batch; an error in the pipeline is raised here."""
    start = time.perf_counter()
    item = self._queue.get()
    self.wait_s += time.perf_counter() - start
    if isinstance(item, BaseException):
      self._queue.put(item)  # The next call ends the same way.
      raise item
    return item

  def close(self) -> None:
    """Stops the thread and the iterator; batches that wait are dropped."""
    self._closed.set()
    while self._thread.is_alive():
      try:
        self._queue.get(timeout=0.05)
      except queue.Empty:
        continue
    self._iterator.close()

  def _read(self) -> None:
    try:
      while not self._closed.is_set():
        device, host = split_host(next(self._iterator))
        position = self._iterator.get_state()
        self._queue.put(Fetched(self._put(device), host, position))
    except BaseException as error:
      self._queue.put(error)  # StopIteration too: it ends the caller's loop.
