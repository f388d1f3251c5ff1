#!/usr/bin/env bash
# Pre-trains a tiny RVM, evaluates it and writes a report, in about eight minutes.
#
#   bash launch/quickstart.sh [VIDEO_DIR]
#
# Learns from moving sprites, rendered here, or from your videos in VIDEO_DIR
# (one folder a class, or all in one). Makes .venv in the checkout unless a
# virtual environment is active. Stopped and started again, it resumes.
#
#   RVMAE_WORKDIR=DIR    folder of the run; a relative path starts at the
#                        checkout; default runs/quickstart

source "$(dirname "$0")/environment.sh"

videos=
case ${1:-} in
  --help) usage 0 ;;
  ?*) videos=$(cd "$caller" && cd "$1" 2>/dev/null && pwd) || fail "no folder $1" ;;
esac
workdir=${RVMAE_WORKDIR:-runs/quickstart}
config=configs/rvm_quickstart.py
eval_config=configs/eval_sprites.py

# Says how long the last step took and what the next one is.
begun=
step() {
  [[ -z $begun ]] || echo "    took $((SECONDS - begun)) s"
  begun=$SECONDS
  printf '\n==> %s\n' "$*"
}

step 'Environment: packages (a few minutes, once)'
prepare_environment vis

if [[ -n $videos ]]; then
  step "Doctor: which videos in $videos can be read (seconds)"
  python -m rvmae_jax.tools.doctor videos "$videos" --quick ||
    echo 'Continuing with the videos that can be read.'

  step 'Shards: small copies (about 8 s for a minute of video, once)'
  python -m rvmae_jax.tools.prepare --input "$videos" \
    --output "$workdir/shards" --short_side 96
  config+=:shards=${workdir//,/\\,}/shards # In arguments, \, is a comma.
  eval_config+=:own_videos
fi

step "Pre-training into $workdir (about 6 minutes on 2 cores)"
python -m rvmae_jax.train --config "$config" --workdir "$workdir"

step 'Evaluation: reconstruction, kNN and linear probe (about a minute)'
python -m rvmae_jax.evaluate --config $eval_config \
  --checkpoint "$workdir" --workdir "$workdir/evaluation"

step 'Report'
python -m rvmae_jax.tools.report --workdir "$workdir"

step "Done in $SECONDS s. Open $workdir/report.html in a browser."
