"""The TPU compiler at work, where it is installed; and what is said if not."""

import importlib.util
import pathlib
import sys

import pytest

from rvmae_jax import config_utils
from rvmae_jax.tools.planning import ahead_of_time
from rvmae_jax.tools.planning.search import make_plan

ROOT = pathlib.Path(__file__).parents[3]
needs_compiler = pytest.mark.skipif(
  importlib.util.find_spec('libtpu') is None,
  reason="the TPU compiler is not installed: pip install 'rvmae_jax[tpu]'",
)


def test_without_the_compiler_the_error_names_the_extra(monkeypatch):
  monkeypatch.setitem(sys.modules, 'libtpu', None)
  with pytest.raises(ImportError, match=r"pip install 'rvmae_jax\[tpu\]'"):
    ahead_of_time.describe_slice('v6e:2x2')


@pytest.mark.parametrize(
  ('topology', 'message'),
  [('v9:2x2', "Unknown device 'v9'"), ('v6e', 'write v6e:16x16')],
)
def test_slices_that_nobody_knows(topology, message):
  with pytest.raises(ValueError, match=message):
    ahead_of_time.describe_slice(topology)


@pytest.mark.parametrize(
  ('message', 'used'),
  [
    ('Used 43.25G of 31.25G hbm. Exceeded by 12G.', 43.25 * 2**30),
    ('required for HLO temporaries (36.5G) exceeds', 36.5 * 2**30),
    ('Program hbm used 512.0M of', 512 * 2**20),
    ('no number', 0.0),
  ],
)
def test_what_a_program_would_have_used(message, used):
  assert ahead_of_time.used_bytes(message) == used


@needs_compiler
@pytest.mark.slow
def test_a_step_is_compiled_for_a_slice():
  config = config_utils.load_config(str(ROOT / 'configs/rvm_quickstart.py'))
  tpus = ahead_of_time.describe_slice('v6e:2x2')
  assert tpus.num_chips == len(tpus.jax_devices) == 4
  plan = make_plan(config, tpus)
  assert plan.chosen.changes == {}
  reduced = next(
    c for c in plan.chosen.step.collectives if c.kind == 'all-reduce'
  )
  assert reduced.group_size == 4
  # All gradients of 1.3 M parameters, some of them perhaps in bfloat16.
  assert reduced.num_bytes > 2 * 1.3e6


@needs_compiler
def test_a_chip_alone_is_a_slice():
  assert len(ahead_of_time.describe_slice('v5e:1x1').jax_devices) == 1
