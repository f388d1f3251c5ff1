"""Measures a real run from shards: does the device wait for data?

  python -m rvmae_jax.benchmarks run --workdir runs/benchmark \\
    --config configs/rvm_pretrain.py:variant=S --config.batch_size=64 \\
    [--videos VIDEOS] [--sprites 256] [--steps 200]

Makes shards of moving sprites and of VIDEOS (as `rvmae_jax.tools.inputs` names
them), once, and trains on them without evaluations and pictures. Figures are
medians over ten parts of the run, without the first, in which the pipeline
fills. The last line is the result as JSON.
"""

import json
import os
import pathlib
import shutil
import statistics

from absl import flags
from ml_collections import ConfigDict

from rvmae_jax.benchmarks.measurement import print_result
from rvmae_jax.commands import run_command
from rvmae_jax.config_utils import define_config_flag
from rvmae_jax.data.encoding import Encoding
from rvmae_jax.data.sources.moving_sprites import MovingSprites
from rvmae_jax.tools.inputs import open_source
from rvmae_jax.tools.prepare import prepare
from rvmae_jax.train import train
from rvmae_jax.training.logging import show_own_lines
from rvmae_jax.visualize.curves import read_lines

_NUM_PARTS = 10
_FIGURES = ('data_wait_share', 'clips_per_s', 'mfu', 'loss')


def benchmark_run(
  config: ConfigDict,
  workdir: str,
  num_steps: int = 200,
  num_sprites: int = 256,
  videos: str = '',
) -> dict[str, float]:
  """Trains for a while.

  Args:
    config: a recipe; its sources are replaced, and it is not changed.
    workdir: of `videos.jsonl`, `shards` and `run`; a run that is there is
      thrown away.
    num_steps: of training.
    num_sprites: videos of moving sprites, as large as the config's crops.
    videos: a folder or a list of others besides; '' means none.

  Returns:
    Those of `data_wait_share`, `clips_per_s`, `mfu` and `loss` (the last one)
    that the run logs, and `cores`.
  """
  folder = pathlib.Path(workdir)
  folder.mkdir(parents=True, exist_ok=True)
  size = max(config.data.crop.size)
  sprites = MovingSprites(
    num_videos=num_sprites,
    size=size,
    num_frames=64,
    cache_dir=str(folder / 'sprites'),
  )
  records = [*sprites, *(open_source(videos) if videos else ())]
  if lost := [r['path'] for r in records if not os.path.exists(r['path'])]:
    raise ValueError(
      f'--videos={videos} has {lost[0]!r}, which is no file: give a folder or '
      'a list of files.'
    )
  listing = folder / 'videos.jsonl'
  listing.write_text(
    ''.join(
      json.dumps(
        {
          'path': os.path.abspath(r['path']),
          'split': 'train',
          **{key: r[key] for key in ('start_s', 'end_s') if key in r},
        }
      )
      + '\n'
      for r in records
    )
  )
  shards = str(folder / 'shards')
  encoding = Encoding(short_side=size)
  prepare(str(listing), shards, encoding, workers=os.cpu_count())

  shutil.rmtree(folder / 'run', ignore_errors=True)
  train(_run_config(config, shards, num_steps), str(folder / 'run'))
  _, *logged = read_lines(folder / 'run/metrics.jsonl')
  found = {
    name: statistics.median(line[name] for line in logged)
    for name in _FIGURES
    if name in logged[-1]
  }
  return found | {
    'loss': logged[-1]['loss'],
    'cores': len(os.sched_getaffinity(0)),
  }


def _run_config(config: ConfigDict, shards: str, num_steps: int) -> ConfigDict:
  """The config of a run that does nothing but train on shards."""
  config = ConfigDict(config.to_dict())
  source = {'name': 'shards', 'path': shards, 'split': 'train'}
  # So named that `eval_imported` puts others in their place.
  config.data.sources = ConfigDict({'videos': source})
  config.total_steps = num_steps
  config.schedule.warmup_steps = num_steps // _NUM_PARTS
  config.evals = ConfigDict()
  config.checkpoint.every_steps = num_steps
  config.checkpoint.keep_every = 0
  config.log.every_steps = max(num_steps // _NUM_PARTS, 1)
  config.log.pictures_every = 0
  config.log.clu = ()
  return config


def main(args: flags.FlagValues) -> None:
  """Runs the command."""
  show_own_lines()
  result = benchmark_run(
    args.config, args.workdir, args.steps, args.sprites, args.videos
  )
  print(
    f'{result["clips_per_s"]:.1f} clips/s on {result["cores"]} core(s), '
    f'{result["data_wait_share"]:.1%} of the time waiting for data'
  )
  print_result({'run': result})


if __name__ == '__main__':
  define_config_flag()
  flags.DEFINE_string('workdir', None, 'Folder for videos, shards and the run.')
  flags.mark_flag_as_required('workdir')
  flags.DEFINE_string('videos', '', 'A folder or a list (.csv, .json, .jsonl).')
  flags.DEFINE_integer('sprites', 256, 'Number of videos of moving sprites.')
  flags.DEFINE_integer('steps', 200, 'Training steps.')
  run_command(main)
