"""Measures where the time of a training step goes: by part of the network.

  python -m rvmae_jax.benchmarks parts \\
    --config configs/rvm_pretrain.py:variant=S --config.batch_size=64 \\
    [--seconds 20]

Times ever longer beginnings of the step, forward and backward, in turn and
round after round: the encoder; the encoder and RVM's core; the whole gradient.
A part's time is what it adds to the beginning before it. The update (clipping,
optimizer, moving average) is timed by itself, and so is the input: putting a
batch on the device, which a run does during the step before. The rest of the
whole step is `unexplained`; below zero, the compiler overlaps parts. The last
line is the result as JSON.
"""

import statistics
from collections.abc import Callable
from typing import Any

import jax
from absl import flags, logging
from ml_collections import ConfigDict

from rvmae_jax.batch import fake_batch
from rvmae_jax.benchmarks.measurement import print_result
from rvmae_jax.benchmarks.peak import peak_of
from rvmae_jax.benchmarks.step import StepBenchmark
from rvmae_jax.benchmarks.timing import seconds_of
from rvmae_jax.benchmarks.traffic import step_traffic
from rvmae_jax.commands import run_command
from rvmae_jax.config_utils import define_config_flag
from rvmae_jax.models import flops
from rvmae_jax.models.rvm import RVM
from rvmae_jax.parts import Parts
from rvmae_jax.training import devices, sharding

_NUM_ROUNDS = 5


def benchmark_parts(config: ConfigDict, seconds: float = 20) -> dict[str, Any]:
  """Measures a step and its parts in turn.

  Args:
    config: a recipe whose model has an encoder and a decoder.
    seconds: of measuring, over everything.

  Returns:
    `parts`: name -> `ms`, `share` of the step's time and, where there are
    matrix products, `tflops` of a step and `mfu`; 'step' is the whole of them,
    'input' is beside it. `memory`: see `_memory`. `peak_tflops_per_s` and
    `peak_is_measured`: what `mfu` is of.

  Raises:
    ValueError: a model without a decoder.
  """
  config = ConfigDict(config.to_dict())
  config.accumulation_steps = 1
  step = StepBenchmark(config)
  part_flops = flops_by_part(step.parts)
  programs = _programs(step)
  times_s = {name: [] for name in programs}
  share_s = seconds / (1 + len(programs)) / _NUM_ROUNDS
  for i in range(_NUM_ROUNDS):
    logging.info('Round %d of %d.', i + 1, _NUM_ROUNDS)
    step.run_round(share_s)
    for name, run in programs.items():
      times_s[name].append(seconds_of(run, share_s))

  step_s = statistics.median(step.step_s)
  medians_s = {name: statistics.median(s) for name, s in times_s.items()}
  # A part is what a beginning takes beyond the one before it.
  part_s, before_s = {}, 0.0
  for name in part_flops:
    part_s[name] = medians_s[name] - before_s
    before_s = medians_s[name]
  part_s['update'] = medians_s['update']
  part_s['unexplained'] = step_s - sum(part_s.values())
  part_s |= {'step': step_s, 'input': medians_s['input']}
  part_flops['step'] = step.parts.flops_per_clip

  peak = peak_of(step.mesh, config.model.get('dtype', 'float32'))
  rows = {}
  for name, time_s in part_s.items():
    rows[name] = {'ms': 1e3 * time_s, 'share': time_s / step_s}
    if name in part_flops:
      num_flops = part_flops[name] * config.batch_size
      rows[name]['tflops'] = num_flops / 1e12
      rows[name]['mfu'] = num_flops / time_s / peak.flops_per_s
  return {
    'parts': rows,
    'memory': _memory(step),
    'peak_tflops_per_s': peak.flops_per_s / 1e12,
    'peak_is_measured': peak.is_measured,
  }


def flops_by_part(parts: Parts) -> dict[str, int]:
  """FLOPs of training on a clip: 'encoder', of RVM 'core', then 'decoder'.

  The core of R-VMAE counts as its encoder's; the encoding of visible patches of
  target frames (RVM, SiamMAE), and of a second view, as the decoder's.

  Raises:
    ValueError: a model without a decoder.
  """
  count = getattr(parts.model, 'flops_per_clip', lambda spec: {})
  forward = count(parts.spec)
  if 'decoder' not in forward:
    raise ValueError(
      f'{type(parts.model).__name__} has no decoder, so its step has no such '
      'parts; use the benchmark `step`.'
    )
  counts = {'encoder': flops.features(forward)}
  if isinstance(parts.model, RVM):
    counts['core'] = {'core': counts['encoder'].pop('core')}
  result = {part: flops.training(count) for part, count in counts.items()}
  return result | {'decoder': parts.flops_per_clip - sum(result.values())}


def _programs(step: StepBenchmark) -> dict[str, Callable[[], Any]]:
  """Programs to time besides the step; 'decoder' is the whole gradient."""

  def compiled(function, *arguments):
    program = jax.jit(function)
    return lambda: jax.block_until_ready(program(*arguments))

  parts, batch = step.parts, step.batch
  state, grads = step.init(), step.init().params
  rng = jax.random.key(0)
  programs = {}
  for name, function in _beginnings(parts).items():
    features = jax.eval_shape(function, state.params, batch)
    # Not ones: the compiler would know what a product with them is.
    cotangent = jax.random.normal(rng, features.shape, features.dtype)
    programs[name] = compiled(
      _gradient(function), state.params, batch, cotangent
    )
  gradient = jax.value_and_grad(parts.loss_fn, has_aux=True)
  host = fake_batch(parts.spec)
  return programs | {
    'decoder': compiled(gradient, state.params, batch, rng, *step.frozen),
    'update': compiled(parts.update, state, 1.0, {}, grads),
    'input': lambda: jax.block_until_ready(
      sharding.global_batch(host, step.mesh)
    ),
  }


def _beginnings(parts: Parts) -> dict[str, Callable[[Any, dict], jax.Array]]:
  """(params, batch) -> what comes out of the encoder, and of RVM's core.

  The network's output is asked for its features alone; what they do not need
  the compiler leaves out.
  """
  model = parts.model

  def encode_frames(params, batch):
    return model.apply(
      {'params': params}, batch['video'], method='encode_frames'
    )

  def features(params, batch):
    rngs = {'dropout': jax.random.key(0)}
    outputs = model.apply({'params': params}, batch, train=True, rngs=rngs)
    return outputs['features']

  if isinstance(model, RVM):
    return {'encoder': encode_frames, 'core': features}
  return {'encoder': features}


def _gradient(function: Callable) -> Callable:
  """Its backward pass, from the gradient of what it gives."""

  def gradient(params, batch, cotangent):
    _, pull_back = jax.vjp(lambda params: function(params, batch), params)
    return pull_back(cotangent)

  return gradient


def _memory(step: StepBenchmark) -> dict[str, float | None]:
  """What the step moves in memory.

  Returns:
    `least_gb` and `least_ms`: see `step_traffic`, and the time that it takes at
    the devices' bandwidth, None where that is not known. `xla_gb`: what XLA
    counts of the compiled program, bodies of loops once.
  """
  least = sum(step_traffic(step.parts))
  device = devices.of_kind(step.mesh.devices.flat[0].device_kind)
  least_ms = None
  if device:
    least_ms = 1e3 * least / (device.hbm_bytes_per_s * step.mesh.size)
  counted = (step.program.cost_analysis() or {}).get('bytes accessed')
  return {
    'least_gb': least / 1e9,
    'least_ms': least_ms,
    'xla_gb': counted and counted / 1e9,
  }


def print_table(result: dict[str, Any]) -> None:
  """One row a part, and a line on the peak and on memory."""
  print(f'{"":12} {"ms":>9} {"share":>7} {"TFLOP":>9} {"MFU":>7}')
  for name, row in result['parts'].items():
    tflops = f'{row["tflops"]:9.4f}' if 'tflops' in row else f'{"-":>9}'
    mfu = f'{row["mfu"]:7.1%}' if 'mfu' in row else f'{"-":>7}'
    print(f'{name:12} {row["ms"]:9.2f} {row["share"]:7.1%} {tflops} {mfu}')
  origin = 'measured' if result['peak_is_measured'] else "the maker's figure"
  print(f'Peak {result["peak_tflops_per_s"]:.3g} TFLOP/s, {origin}.')
  memory = result['memory']
  line = f'Moves at least {memory["least_gb"]:.2f} GB'
  if memory['least_ms']:
    line += f', {memory["least_ms"]:.2f} ms at the memory bandwidth'
  if memory['xla_gb']:
    line += f'; XLA counts {memory["xla_gb"]:.2f} GB, bodies of loops once'
  print(f'{line}.')


def main(args: flags.FlagValues) -> None:
  """Runs the command."""
  result = benchmark_parts(args.config, args.seconds)
  print_table(result)
  print_result(result)


if __name__ == '__main__':
  define_config_flag()
  flags.DEFINE_float('seconds', 20, 'Seconds to measure for, in total.')
  run_command(main)
