"""Plans a run on chips that are not here: what fits, and how long it takes.

  python -m rvmae_jax.tools.plan --config configs/rvm_pretrain.py:variant=H \\
    --topology v6e:16x16 [--global_batch 2048] [--mfu 0.4] [--json plan.json]
    [--against model.remat=full --against model.scan_layers=True]

Compiles the training step itself with the compiler of TPUs or of NVIDIA's GPUs
(h100:8; four machines are h100:4x8), for which neither need be there: pip
install 'rvmae_jax[tpu]' or 'rvmae_jax[cuda]', Linux on x86_64. It tells memory,
FLOPs, what goes over the network, and the time that each bounds a step to. If
the config does not fit it tries, in this order, more microbatches
(`accumulation_steps`), `remat`, and shards of the state (`mesh.fsdp`), and says
what to set. A compile takes minutes; one or two with
`--config.model.scan_layers=True`, for any size.

Of TPUs it says how long a step takes by the schedule that the compiler ends
with: the cycles of each operation or, where that is longer, the bytes that it
moves. No run is faster; waiting and exchanges come on top.

With `--against` it compares the config with itself at other values instead, by
memory and by that time.

Exit code: 0 something fits, 1 nothing does, 2 the command itself is wrong.
"""

import dataclasses
import json
import pathlib
import sys
from typing import Any

from absl import flags
from ml_collections import ConfigDict

from rvmae_jax.commands import run_command
from rvmae_jax.config_utils import define_config_flag
from rvmae_jax.tools.planning import ahead_of_time
from rvmae_jax.tools.planning.attempts import Plan
from rvmae_jax.tools.planning.bounds import run_days
from rvmae_jax.tools.planning.search import compare_variants, make_plan
from rvmae_jax.tools.planning.table import format_summary, format_variants


def to_json(plan: Plan, num_steps: int, mfu: float) -> dict[str, Any]:
  """The plan as plain values."""
  content = dataclasses.asdict(plan)
  if plan.chosen:
    content['days'] = run_days(plan.chosen.bounds, num_steps, mfu)
  return content | {'num_steps': num_steps, 'mfu': mfu}


def main(args: flags.FlagValues) -> int:
  """Runs the command; returns the exit code."""
  config = ConfigDict(args.config.to_dict())
  config.batch_size = args.global_batch or config.batch_size
  num_steps = args.steps or config.total_steps
  try:
    chips = ahead_of_time.describe_slice(args.topology)
    if args.against:
      variants = compare_variants(config, args.against, chips)
      print(format_variants(variants, chips.hbm_bytes))
      return 0
    plan = make_plan(config, chips)
  except (ImportError, ValueError) as error:
    print(f'plan: {error}', file=sys.stderr)
    return 2
  print(format_summary(plan, num_steps, args.mfu))
  if args.json:
    content = to_json(plan, num_steps, args.mfu)
    pathlib.Path(args.json).write_text(json.dumps(content, indent=1))
  return int(plan.chosen is None)


if __name__ == '__main__':
  define_config_flag()
  flags.DEFINE_string('topology', None, 'Such as v6e:16x16 or h100:8.')
  flags.DEFINE_integer('global_batch', 0, "Clips of a step; 0: the config's.")
  flags.DEFINE_float('mfu', 0.4, 'Share of the peak that the run will reach.')
  flags.DEFINE_integer('steps', 0, "Of the run; 0: the config's.")
  flags.DEFINE_multi_string('against', [], 'The config with other values.')
  flags.DEFINE_string('json', '', 'Write all of it to this file.')
  flags.mark_flags_as_required(['config', 'topology'])
  run_command(main)
