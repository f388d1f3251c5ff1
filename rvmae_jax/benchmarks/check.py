"""Checks that no training step has grown: compares every recipe's to a record.

  python -m rvmae_jax.benchmarks check            # exit code 1 if so
  python -m rvmae_jax.benchmarks check --update   # record what is now
  python -m rvmae_jax.benchmarks check --compiled # of TPUs and GPUs too

Times depend on the machine and its load; what a step computes, the memory that
the compiler plans for it and the length of its program do not. They are taken
at the small size that the record names, for two clips, on the CPU.

`--compiled` compiles the steps that the record names for chips that are not
here, which takes minutes each: cycles and bytes of a TPU's schedule, and a
GPU's memory, where the compiler is installed (see `tools/plan`).
"""

import json
import pathlib
import sys
from collections.abc import Mapping
from typing import Any

import jax
import optax
from absl import flags

from rvmae_jax.benchmarks.program import count
from rvmae_jax.commands import run_command
from rvmae_jax.config_utils import load_config, with_values
from rvmae_jax.tools.planning.ahead_of_time import (
  compile_step,
  compiler_version,
  describe_slice,
)
from rvmae_jax.tools.planning.schedule import dump_folder
from rvmae_jax.tools.planning.work import keeping_all, trace_step

FIGURES = pathlib.Path('tests/benchmarks/step_figures.json')
CONFIGS = pathlib.Path('configs')

_CLIPS = 2
# What other versions of jax and optax write or plan in another way.
_OF_VERSION = {'operations', 'temporary_bytes'}
# How far a figure may be from its record: nothing here is measured, so this is
# only what a patch release of the compiler may change.
_TOLERANCE = {
  'operations': 0.02,
  'temporary_bytes': 0.05,
  'peak_bytes': 0.05,
  'cycles': 0.05,
  'moved_bytes': 0.05,
}


def step_figures(
  spec: str, configs: pathlib.Path = CONFIGS, compiled: bool = True
) -> dict[str, int]:
  """What a recipe's training step for two clips computes and takes.

  Args:
    spec: a file in `configs`, with arguments if need be.
    configs: the folder of recipes.
    compiled: count `temporary_bytes` too, for which XLA has to compile.

  Returns:
    `parameters`; `model_flops` by our formulas, 0 where the model has none;
    `flops`, `matmuls`, `operations`, `loops` of the program, see
    `rvmae_jax.benchmarks.program`; `flops_once` where nothing is computed
    again; `temporary_bytes` that XLA plans besides state and batch.
  """
  config = load_config(f'{configs}/{spec}')
  config.accumulation_steps = 1
  if 'attention' in config.model:
    config.model.attention = 'xla'  # What 'auto' means differs by device.
  config.batch_size = _CLIPS * config.data.get('repeats', 1)
  parts, traced = trace_step(config)
  keeping = keeping_all(config)
  traced_once = traced
  if keeping.to_dict() != config.to_dict():
    _, traced_once = trace_step(keeping)
  figures = {
    'parameters': sum(p.size for p in jax.tree.leaves(parts.shapes.params)),
    'model_flops': int((parts.flops_per_clip or 0) * config.batch_size),
    **count(traced.jaxpr)._asdict(),
    'flops_once': count(traced_once.jaxpr).flops,
  }
  if compiled:
    # Unoptimised machine code takes half the time and the same memory.
    program = traced.lower().compile({'xla_backend_optimization_level': 0})
    memory = program.memory_analysis()
    figures['temporary_bytes'] = memory.temp_size_in_bytes
  return figures


def compiled_figures(
  case: Mapping[str, Any], configs: pathlib.Path = CONFIGS
) -> dict[str, int]:
  """What a step takes on chips that are not here.

  Args:
    case: `recipe`, `changes` to it and `topology`, as `tools/plan` has them.
    configs: the folder of recipes.

  Returns:
    Of a TPU `cycles` and `moved_bytes` of a step, of a GPU its `peak_bytes`.

  Raises:
    RuntimeError: the TPU's compiler wrote no schedule.
  """
  chips = describe_slice(case['topology'])
  config = load_config(f'{configs}/{case["recipe"]}')
  step = compile_step(with_values(config, case['changes']), chips)
  if not chips.chip.is_tpu:
    return {'peak_bytes': int(step.peak_bytes)}
  if step.time.unscheduled == 1:
    compiler = compiler_version(case['topology'])
    raise RuntimeError(
      f'{compiler} wrote no schedule, so there are no cycles to compare; see '
      'the warning above.'
    )
  return {
    'cycles': int(step.time.cycles),
    'moved_bytes': int(step.time.moved_bytes),
  }


def differences(
  recorded: Mapping[str, int], found: Mapping[str, int], same_version: bool
) -> list[str]:
  """What is not as recorded, one line each.

  Args:
    recorded: figures by name.
    found: figures by name, the same names.
    same_version: of jax; under another only exact figures are compared.
  """
  lines = []
  for name, was in recorded.items():
    if name in _OF_VERSION and not same_version:
      continue
    change = found[name] / was - 1 if was else float(found[name] != was)
    if abs(change) > _TOLERANCE.get(name, 0):
      lines.append(f'{name}: {found[name]:,}, recorded {was:,} ({change:+.1%})')
  return lines


def versions() -> str:
  """Versions that shape the program; jax's patch number makes no difference."""
  minor = '.'.join(jax.__version__.split('.')[:2])
  return f'jax {minor}, optax {optax.__version__}'


def _check_compiled(cases: list[dict[str, Any]], update: bool) -> int:
  """Checks the cases whose compiler is installed, and updates their figures.

  Args:
    cases: cases of the record.
    update: also check cases that another version of the compiler recorded.

  Returns:
    How many differ from the record.
  """
  num_changed = 0
  for case in cases:
    print(f'{case["recipe"]} {case["changes"]} on {case["topology"]}:', end=' ')
    version = compiler_version(case['topology'])
    if version != case['compiler'] and not (version and update):
      print(f'recorded with {case["compiler"]}, here is {version or "none"}')
      continue
    found = compiled_figures(case)
    recorded = {key: case[key] for key in found}
    lines = differences(recorded, found, same_version=True)
    num_changed += bool(lines)
    print('\n  '.join(['changed', *lines]) if lines else 'as recorded')
    case.update(found, compiler=version)
  return num_changed


def main(args: flags.FlagValues) -> None:
  """Runs the command."""
  if args.compiled:
    dump_folder()  # Before JAX loads libtpu, which reads its flags once.
  path = pathlib.Path(args.figures)
  record: dict[str, Any] = json.loads(path.read_text())
  same_version = record['versions'] == versions()
  if not same_version and not args.update:
    print(
      f'Recorded with {record["versions"]}, this is {versions()}: '
      f'{", ".join(sorted(_OF_VERSION))} are not compared.'
    )
  found, num_changed = {}, 0
  for number, (spec, recorded) in enumerate(record['recipes'].items(), 1):
    found[spec] = step_figures(spec, compiled=same_version or args.update)
    lines = differences(recorded, found[spec], same_version)
    num_changed += bool(lines)
    print(f'[{number}/{len(record["recipes"])}] {spec}:', end=' ')
    print('\n  '.join(['changed', *lines]) if lines else 'as recorded')
  if args.compiled:
    num_changed += _check_compiled(record['compiled'], args.update)
  if args.update:
    record = record | {'versions': versions(), 'recipes': found}
    path.write_text(json.dumps(record, indent=2) + '\n')
    print(f'Recorded in {path}.')
  elif num_changed:
    sys.exit(
      f'{num_changed} changed; if this is intended, run again with --update.'
    )


if __name__ == '__main__':
  flags.DEFINE_string('figures', str(FIGURES), 'The record.')
  flags.DEFINE_bool('compiled', False, 'Steps for TPUs and GPUs, too.')
  flags.DEFINE_bool('update', False, 'Record what is now.')
  run_command(main)
