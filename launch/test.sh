#!/usr/bin/env bash
# Environment, install, lint, all tests.
#
#   bash launch/test.sh [PYTEST ARGUMENTS]
#
# For example `bash launch/test.sh -m 'not slow'` or `... tests/data`. The tests
# run on all cores; `-n 0` runs them in one process, which a debugger needs.
# Makes .venv in the checkout unless a virtual environment is active.

source "$(dirname "$0")/environment.sh"

[[ ${1:-} != --help ]] || usage 0

prepare_environment test
python -m ruff check .
python -m ruff format --check .
shellcheck --external-sources --source-path=SCRIPTDIR .ci/run launch/*.sh
python -m pytest -n auto --dist worksteal --durations=15 "$@"
