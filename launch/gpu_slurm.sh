#!/usr/bin/env bash
# Trains on a SLURM cluster: one process a node, with all GPUs of the node.
#
#   sbatch --nodes=4 launch/gpu_slurm.sh --config FILE --workdir DIR [...]
#   bash launch/gpu_slurm.sh --dry --config FILE --workdir DIR [...]
#
# Submit it from the checkout. The checkout and --workdir must lie on a disk
# that all nodes see. All arguments go to `python -m rvmae_jax.train`. Options
# of sbatch override those below. Shortly before its time ends the job saves and
# goes back to the queue; when it starts again, it resumes.
#
#   --dry    print what would run, and stop

#SBATCH --job-name=rvmae_jax
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --exclusive
#SBATCH --output=%x-%j.log
#SBATCH --open-mode=append
#SBATCH --signal=B:TERM@300

# SLURM runs a copy of this file, which lies far from the checkout.
# shellcheck source=environment.sh
source "${SLURM_SUBMIT_DIR:-$(dirname "$0")/..}/launch/environment.sh"

case ${1:---help} in
  --help) usage 0 ;;
  --dry) dry=true && shift ;;
esac

# This script runs on the first node, where process 0 runs too.
coordinator=$(hostname):$((20000 + ${SLURM_JOB_ID:-0} % 20000))

# All of a node's cores are for its loader; SLURM would give a task one. srun
# tells each process its number only when it starts it.
# shellcheck disable=SC2016
train=(srun --cpus-per-task="${SLURM_CPUS_ON_NODE:-1}" bash -c 'exec "$@" --process_id="$SLURM_PROCID"' -
  python -m rvmae_jax.train "$@"
  --coordinator="$coordinator" --num_processes="${SLURM_NTASKS:-1}")

prepare_environment cuda
if [[ $dry == true ]]; then
  run "${train[@]}"
  exit
fi

# Out of time: every process gets the signal and saves. Of scancel, since srun
# would not pass it on but end its step, and without --batch, which is this
# script.
trap 'scancel --signal=TERM "$SLURM_JOB_ID" || :; wait
  scontrol requeue "$SLURM_JOB_ID"' TERM
"${train[@]}" &
wait $!
