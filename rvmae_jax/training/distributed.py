"""Several processes as one job."""

import contextlib
import os
from collections.abc import Iterator, Mapping

import jax
import numpy as np
from absl import flags, logging
from jax.experimental import multihost_utils


def define_process_flags() -> None:
  """The flags of `join_processes`, for a command's main module."""
  flags.DEFINE_string(
    'coordinator', '', "Process 0's host:port, or auto; see join_processes."
  )
  flags.DEFINE_integer('num_processes', None, 'Number of processes of the job.')
  flags.DEFINE_integer('process_id', None, 'Number of this process, from 0.')


def join_processes(
  coordinator: str, num_processes: int | None, process_id: int | None
) -> None:
  """Makes this process one of several, where flags or the cluster say so.

  Args:
    coordinator: host:port of process 0; 'auto' asks the cluster (Cloud TPU,
      SLURM, Open MPI, Kubernetes); '' asks it only if SLURM or the TPU runtime
      reports several processes.
    num_processes: of the job; with a host:port only.
    process_id: of this process; with a host:port only.
  """
  if coordinator and coordinator != 'auto':
    # Without asking the cluster too: under SLURM, JAX would then give every
    # process one GPU only.
    jax.distributed.initialize(
      coordinator,
      num_processes,
      process_id,
      cluster_detection_method='deactivate',
    )
    return
  several_slurm = int(os.environ.get('SLURM_STEP_NUM_TASKS', 1)) > 1
  several_tpu = ',' in os.environ.get('TPU_WORKER_HOSTNAMES', '')
  if coordinator == 'auto' or several_slurm or several_tpu:
    jax.distributed.initialize()


@contextlib.contextmanager
def failing_together() -> Iterator[None]:
  """Ends all processes of a job when one of them fails.

  Otherwise the failing process would wait for the others in its clean-up, while
  they wait for it in a collective. It exits at once instead, and the others
  stop when they notice that it is gone.
  """
  try:
    yield
  except Exception:
    if jax.process_count() > 1:
      logging.exception('Process %d fails.', jax.process_index())
      logging.flush()
      os._exit(1)
    raise


def sum_over_processes(numbers: Mapping[str, float]) -> dict[str, float]:
  """Adds up what each process has counted; all must call it, with equal keys.

  Returns:
    The same names with the sums.
  """
  counted = np.array(list(numbers.values()), np.float64)
  everyone = multihost_utils.process_allgather(counted)
  sums = everyone.reshape(-1, len(counted)).sum(0)
  return dict(zip(numbers, sums.tolist()))
