"""Compilers for TPUs and GPUs at work, where they are installed.

And what is said if not.
"""

import importlib.util
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvmae_jax import config_utils
from rvmae_jax.layers.pallas_attention import pallas_attention
from rvmae_jax.target_device import compiling_for
from rvmae_jax.tools.planning import ahead_of_time
from rvmae_jax.tools.planning.search import make_plan
from rvmae_jax.tools.planning.table import format_summary

ROOT = pathlib.Path(__file__).parents[3]
needs_compiler = pytest.mark.skipif(
  importlib.util.find_spec('libtpu') is None,
  reason="the TPU compiler is not installed: pip install 'rvmae_jax[tpu]'",
)

needs_cuda = pytest.mark.skipif(
  importlib.util.find_spec('jax_cuda12_plugin') is None,
  reason="the GPU compiler is not installed: pip install 'rvmae_jax[cuda]'",
)


def test_without_the_compiler_the_error_names_the_extra(monkeypatch):
  monkeypatch.setitem(sys.modules, 'libtpu', None)
  with pytest.raises(ImportError, match=r"pip install 'rvmae_jax\[tpu\]'"):
    ahead_of_time.describe_slice('v6e:2x2')


@pytest.mark.parametrize(
  ('topology', 'message'),
  [
    ('v9:2x2', "Unknown device 'v9'"),
    ('v6e', 'write v6e:16x16'),
    ('h100:2x2x2', 'write h100:8'),
    ('h100pcie:8', 'Nothing is known'),
  ],
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
  chips = ahead_of_time.describe_slice('v6e:2x2')
  assert chips.num_chips == len(chips.jax_devices) == 4
  plan = make_plan(config, chips)
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


@pytest.fixture(name='v6e', scope='module')
def _v6e():
  return ahead_of_time.describe_slice('v6e:1x1')


def _scheduled(function, v6e, *shapes):
  place = jax.sharding.SingleDeviceSharding(v6e.jax_devices[0])
  arrays = [
    jax.ShapeDtypeStruct(shape, jnp.bfloat16, sharding=place)
    for shape in shapes
  ]
  program = jax.jit(function).lower(*arrays).compile().as_text()
  return ahead_of_time.scheduled_time(program, v6e)


@needs_compiler
def test_a_large_product_is_scheduled_near_the_peak(v6e):
  rows, inner, columns = 8224, 1024, 4096
  time = _scheduled(jnp.matmul, v6e, (rows, inner), (inner, columns))
  peak_s = 2 * rows * inner * columns / v6e.chip.flops_per_s
  assert 0.9 < peak_s / time.scheduled_s < 0.98
  # The estimate is what it is wrong about.
  assert time.estimated_s > 1.8 * time.scheduled_s


@needs_compiler
def test_an_addition_is_bound_by_its_bytes(v6e):
  time = _scheduled(jnp.add, v6e, (8192, 8192), (8192, 8192))
  num_bytes = 3 * 2 * 8192**2
  assert time.moved_bytes == num_bytes
  assert time.scheduled_s == num_bytes / v6e.chip.hbm_bytes_per_s
  assert time.cycles / v6e.chip.clock_hz < time.scheduled_s / 3


@needs_compiler
def test_a_softmax_reads_its_rows_three_times(v6e):
  """For their maximum, their sum and the result, each from slow memory."""
  time = _scheduled(jax.nn.softmax, v6e, (8192, 8192))
  assert time.moved_bytes == pytest.approx(4 * 2 * 8192**2, rel=0.01)
  assert time.unscheduled == 0


@needs_compiler
def test_the_attention_kernel_is_compiled_for_each_chip_and_scheduled():
  """Of RVM-S's decoder, for 8 clips, two on each chip."""
  chips = ahead_of_time.describe_slice('v6e:2x2')
  mesh = jax.sharding.Mesh(np.array(chips.jax_devices), 'data')
  rows = jax.NamedSharding(mesh, jax.P('data'))
  tokens = jax.ShapeDtypeStruct((8, 1028, 16, 32), jnp.bfloat16, sharding=rows)

  def both_ways(query, key, value, gradient):
    with (
      jax.sharding.use_abstract_mesh(mesh.abstract_mesh),
      compiling_for(mesh.devices[0]),
    ):
      _, back = jax.vjp(pallas_attention, query, key, value)
      return back(gradient)

  program = jax.jit(both_ways).lower(*[tokens] * 4).compile().as_text()
  assert 'attention_forward' in program and 'attention_backward' in program
  assert 'all-gather' not in program
  time = ahead_of_time.scheduled_time(program, chips)
  # A quarter of the 464 microseconds that one chip takes for all of them.
  kernels_s = time.cycles / chips.chip.clock_hz
  assert kernels_s == pytest.approx(116e-6, rel=0.1)


@needs_compiler
def test_what_has_no_schedule_is_told(v6e, monkeypatch):
  monkeypatch.setattr(ahead_of_time, 'take_schedules', lambda _: {})
  with pytest.warns(UserWarning, match='libtpu .* wrote no schedule'):
    time = _scheduled(jnp.add, v6e, (256, 256), (256, 256))
  assert time.unscheduled == 1


@needs_cuda
@pytest.mark.slow
def test_a_step_is_compiled_for_gpus():
  config = config_utils.load_config(str(ROOT / 'configs/rvm_quickstart.py'))
  with config.unlocked():
    config.model.dtype = 'bfloat16'
    config.model.scan_layers = True
  h100 = ahead_of_time.describe_slice('h100:2')
  plan = make_plan(config, h100)
  step = plan.chosen.step
  # Of the encoder, the core and the decoder, some of them in loops.
  assert step.attention_calls['forward'] >= 3
  assert step.attention_calls['backward'] >= 3
  reduced = next(c for c in step.collectives if c.kind == 'all-reduce')
  assert reduced.group_size == 2
  assert step.time.scheduled_s == 0 and step.time.moved_bytes > 0
  assert 'cuDNN attention' in format_summary(plan, num_steps=1, mfu=0.4)
