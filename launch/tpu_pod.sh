#!/usr/bin/env bash
# Trains on every worker of a Cloud TPU VM slice.
#
#   bash launch/tpu_pod.sh [--dry] TPU ZONE \
#     --config FILE --workdir gs://BUCKET/DIR [--config.x=y ...]
#
# Copies this checkout to all workers of the slice TPU, installs it there and
# starts `python -m rvmae_jax.train` with the same arguments on each. Training
# continues when this terminal closes. The same command resumes a stopped run.
# Needs gcloud, logged in, with a project set.
#
#   --dry    print what would run, and stop

source "$(dirname "$0")/environment.sh"

case ${1:---help} in
  --help) usage 0 ;;
  --dry) dry=true && shift ;;
esac
[[ $# -ge 3 ]] || fail "TPU, ZONE and arguments of train are needed, see --help"
tpu=$1 zone=$2
shift 2

on_all_workers() {
  run gcloud compute tpus tpu-vm ssh "$tpu" --zone="$zone" --worker=all \
    --command="$1"
}

staging=$(mktemp -d)
trap 'rm -r "$staging"' EXIT
run tar --create --gzip --exclude=__pycache__ --file="$staging/rvmae_jax.tar.gz" \
  setup.cfg pyproject.toml README.md rvmae_jax configs launch
run gcloud compute tpus tpu-vm scp "$staging/rvmae_jax.tar.gz" "$tpu": \
  --zone="$zone" --worker=all

# TPU images bring Python 3.10; uv fetches a newer one.
on_all_workers "mkdir -p rvmae_jax && cd rvmae_jax &&
  tar --extract --gzip --file=../rvmae_jax.tar.gz &&
  { test -x .venv/bin/python ||
    { python3 -m pip install --quiet --user uv &&
      python3 -m uv venv --quiet --seed --python=3.12 .venv; }; }"

on_all_workers "cd rvmae_jax &&
  { RVMAE_EXTRAS=tpu nohup bash launch/local.sh$(printf ' %q' "$@") \
    --coordinator=auto >>train.log 2>&1 </dev/null & } && echo \$! >train.pid"

[[ $dry == false ]] || exit 0
cat <<END
Started. To watch it, and to stop it after it has saved:
  gcloud compute tpus tpu-vm ssh $tpu --zone=$zone --worker=0 \\
    --command='tail -f rvmae_jax/train.log'
  gcloud compute tpus tpu-vm ssh $tpu --zone=$zone --worker=all \\
    --command='kill -TERM \$(cat rvmae_jax/train.pid)'
END
