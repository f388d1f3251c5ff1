"""Warnings about data: each is logged once, however often data are opened."""

import functools

from absl import logging


@functools.cache
def warn_once(message: str) -> None:
  """Logs a warning, unless this process has logged the same before."""
  logging.warning('%s', message)
