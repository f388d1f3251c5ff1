"""Processes that end with the process that started them.

A process that is killed (kill -9, out of memory) cannot end its children; they
have to see for themselves that it is gone.
"""

import os
import signal
import threading
import time

_LOOK_EVERY_S = 1.0


def end_with_parent(parent: int, number: int = signal.SIGKILL) -> None:
  """Ends this process soon after its parent has ended; call it once.

  Args:
    parent: process id of the one that started this one.
    number: the signal that this process then sends itself.
  """

  def watch():
    while os.getppid() == parent:
      time.sleep(_LOOK_EVERY_S)
    os.kill(os.getpid(), number)

  threading.Thread(target=watch, name='end_with_parent', daemon=True).start()


def serve_parent(parent: int) -> None:
  """Makes this process a helper, which only its parent tells to stop.

  Ctrl-C in a terminal and a cluster's SIGTERM reach all processes of a job, but
  a parent that wants to finish a step and save still needs its helpers.

  Args:
    parent: process id of the one that started this one.
  """
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  signal.signal(signal.SIGTERM, signal.SIG_IGN)
  end_with_parent(parent)
