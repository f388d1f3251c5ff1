"""Plans a run on chips you do not have: what fits, and how long it takes.

  python -m rvmae_jax.tools.plan --config configs/rvm_pretrain.py:variant=H \\
    --topology v6e:16x16 [--global_batch 2048] [--mfu 0.4] [--json plan.json]
    [--operations 20]
    [--against model.remat=full --against model.scan_layers=True]

Compiles the real training step with the TPU compiler or, for h100:8 (four
such machines: h100:4x8), with NVIDIA's. No TPU or GPU is needed, only Linux on
x86_64 and `pip install 'rvmae_jax[tpu]'` or `'rvmae_jax[cuda]'`. Prints memory,
FLOPs, network traffic, and the least time that each of them allows for a step.
If the config does not fit, it tries more microbatches (`accumulation_steps`, if
the batch may be cut), then `remat`, then sharding the state (`mesh.fsdp`), and
says what to set. A compile takes minutes; one or two with
`--config.model.scan_layers=True`, whatever the size.

For TPUs it also adds up the schedule that the compiler produced: for each
operation its cycles or, where that takes longer, the bytes it moves. No real
step is faster than that sum; waiting and communication come on top.
`--operations` lists those that take longest; of GPUs, that move most bytes.

With `--against` it compares the config with variants of itself instead, by
memory and by that sum.

Exit code: 0 something fits, or was compared; 1 nothing fits; 2 the command
itself is wrong.
"""

import dataclasses
import json
import pathlib
from typing import Any

from absl import flags
from ml_collections import ConfigDict

from rvmae_jax.commands import explains_errors, run_command
from rvmae_jax.config_utils import define_config_flag
from rvmae_jax.data.writing import make_folder_of, write_whole
from rvmae_jax.tools.planning import ahead_of_time
from rvmae_jax.tools.planning.attempts import Plan
from rvmae_jax.tools.planning.bounds import run_days
from rvmae_jax.tools.planning.search import compare_variants, make_plan
from rvmae_jax.tools.planning.step_time import NUM_LONGEST
from rvmae_jax.tools.planning.table import (
  format_longest,
  format_summary,
  format_variants,
)


def to_json(plan: Plan, num_steps: int, mfu: float) -> dict[str, Any]:
  """The plan as plain values."""
  content = dataclasses.asdict(plan)
  if plan.chosen:
    content['days'] = run_days(plan.chosen.bounds, num_steps, mfu)
  return content | {'num_steps': num_steps, 'mfu': mfu}


@explains_errors('plan')
def main(args: flags.FlagValues) -> int:
  """Runs the command; returns the exit code."""
  config = ConfigDict(args.config.to_dict())
  config.batch_size = args.global_batch or config.batch_size
  num_steps = args.steps or config.total_steps
  if args.against and (args.json or args.operations):
    raise ValueError(
      '--json and --operations need a plan, but --against only compares; leave '
      'them out.'
    )
  make_folder_of(args.json)
  chips = ahead_of_time.describe_slice(args.topology)
  if args.against:
    variants = compare_variants(config, args.against, chips)
    print(format_variants(variants, chips.hbm_bytes))
    return 0
  plan = make_plan(config, chips)
  print(format_summary(plan, num_steps, args.mfu))
  if args.operations and plan.chosen:
    print(format_longest(plan, args.operations))
  if args.json:
    content = to_json(plan, num_steps, args.mfu)
    write_whole(pathlib.Path(args.json), json.dumps(content, indent=1))
  return int(plan.chosen is None)


if __name__ == '__main__':
  define_config_flag()
  flags.DEFINE_string('topology', None, 'Chips: v6e:16x16, h100:8.')
  flags.DEFINE_integer(
    'global_batch', 0, "Clips per step; 0: the config's.", lower_bound=0
  )
  flags.DEFINE_float(
    'mfu', 0.4, 'Share of peak FLOP/s to assume.', lower_bound=1e-3
  )
  flags.DEFINE_integer(
    'steps', 0, "Steps of the run; 0: the config's.", lower_bound=0
  )
  flags.DEFINE_integer(
    'operations',
    0,
    'How many of the longest operations to list, 100 at most.',
    lower_bound=0,
    upper_bound=NUM_LONGEST,
  )
  flags.DEFINE_multi_string(
    'against', [], 'A variant to compare with: model.remat=full,batch_size=8.'
  )
  flags.DEFINE_string('json', '', 'Also write everything to this file.')
  flags.mark_flag_as_required('topology')
  run_command(main)
