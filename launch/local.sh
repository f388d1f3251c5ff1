#!/usr/bin/env bash
# Trains on this machine, on all its devices.
#
#   bash launch/local.sh [--dry] --config FILE --workdir DIR [--config.x=y ...]
#
# Installs the package and runs `python -m rvmae_jax.train` with all arguments.
# Relative paths start at the checkout. The same command resumes a stopped run.
#
#   --dry                print what would run, and stop
#   RVMAE_EXTRAS=cuda    install for NVIDIA GPUs (or tpu)

source "$(dirname "$0")/environment.sh"

case ${1:---help} in
  --help) usage 0 ;;
  --dry) dry=true && shift ;;
esac

prepare_environment "${RVMAE_EXTRAS:-}"
run exec python -m rvmae_jax.train "$@"
