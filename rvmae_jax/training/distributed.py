"""Several processes as one job."""

import os

import jax


def join_processes(
  coordinator: str, num_processes: int | None, process_id: int | None
) -> None:
  """Makes this process one of several, where flags or the cluster say so.

  Args:
    coordinator: host:port of process 0; 'auto' asks the cluster (Cloud TPU,
      SLURM, Open MPI, Kubernetes); empty does so only where SLURM or the TPU
      runtime tell of several processes.
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
