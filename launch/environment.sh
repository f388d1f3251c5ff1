# shellcheck shell=bash
# Sourced by every script here: show or run a command, make the environment.
# Written for bash 3.2 too, which is what macOS has.

set -euo pipefail

script=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
# shellcheck disable=SC2034
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.." # From here on, paths start here.

# A step on a CPU uses and returns some hundred MB. In pages of 2 MB instead of
# 4 KB that is fast; most Linux systems leave this choice to the program.
case ${GLIBC_TUNABLES:-} in
  *glibc.malloc.hugetlb=*) ;;
  *) export GLIBC_TUNABLES=${GLIBC_TUNABLES:+$GLIBC_TUNABLES:}glibc.malloc.hugetlb=1 ;;
esac

# Prints the header of the calling script and leaves.
usage() {
  sed -n '2,/^$/s/^#[ ]\{0,1\}//p' "$script"
  exit "$1"
}

fail() {
  echo "$(basename "$script"): $*" >&2
  exit 1
}

# Runs a command; with dry=true prints it, quoted so that it can be pasted.
dry=false
run() {
  local word line='' quote="'\\''"
  if [[ $dry == false ]]; then
    "$@"
    return
  fi
  for word in "$@"; do
    case $word in
      '' | *[!A-Za-z0-9_./:=@%+,-]*) line+=" '${word//\'/$quote}'" ;;
      *) line+=" $word" ;;
    esac
  done
  echo "${line# }"
}

# The first Python that starts, is new enough and can make an environment.
# A name on the PATH is not enough: version managers leave shims that fail.
find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3.12 python3.13 python3.11 python3; do
    if [[ -n $candidate ]] && "$candidate" -c \
      'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' \
      2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  fail "no Python 3.11 or newer that can make a virtual environment (tried" \
    "${PYTHON:+$PYTHON, }python3.12, python3.13, python3.11, python3). Install" \
    "one, for example 'sudo apt install python3.12-venv', or name it with" \
    "PYTHON=PATH."
}

# prepare_environment EXTRAS: activates .venv (made at need) unless a virtual
# environment is active already, and installs this checkout with the extras.
# A stamp in the environment lets a second call return at once.
prepare_environment() {
  local extras=$1 environment=${VIRTUAL_ENV:-$PWD/.venv} python stamp inputs
  if [[ -z ${VIRTUAL_ENV:-} ]]; then
    if ! .venv/bin/python -c '' 2>/dev/null; then
      python=$(find_python)
      run "$python" -m venv --clear .venv
    fi
    run source .venv/bin/activate
  fi
  stamp=$environment/rvmae_jax_installed_${extras:-base}
  inputs=$(pwd && cat setup.cfg pyproject.toml)
  if [[ $inputs != "$(cat "$stamp" 2>/dev/null)" ]]; then
    run python -m pip install --quiet --editable ".${extras:+[$extras]}"
    [[ $dry == true ]] || echo "$inputs" >"$stamp"
  fi
}
