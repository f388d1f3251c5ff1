"""Extracts features of videos into files with an index.

  python -m rvmae_jax.tools.extract --checkpoint runs/rvm --input VIDEOS \\
    --output FEATURES [--features mean_std_8] [--read all] [--format npz]

The checkpoint is a run or a weights file: exported, released or imported.
VIDEOS is a folder, a list, shards, or a source with its settings; without
`--input`, the run's own videos are taken. `--features` says what is kept:

  mean, mean_2, mean_std_8, change_2 ..   one vector a video
  frames                                              [T, D], a vector a frame
  dense                                               [T, h*w, D], all tokens

`--read clip` takes one clip of each video, as evaluations do (`--num_frames`,
`--stride`, centre crop). `--read all` takes every frame of it, resized whole: a
recurrent model carries its state to the end (or for `--reset_every` frames),
others see windows of `--window` frames side by side.

`rvmae_jax.data.features.FeatureFolder(FEATURES)` reads what is written. Stopped
and started again with the same arguments, it resumes with the shards that are
missing. On several machines, start it on each with `--num_processes N` and its
`--process_id`: they share the shards, and the last to finish writes the index.
Videos that cannot be read are listed in bad_videos.csv with the reason.
"""

import argparse
import csv
import json
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rvmae_jax import config_utils, weights
from rvmae_jax.commands import at_least, command_line, explains_errors
from rvmae_jax.data import clips
from rvmae_jax.data import features as files
from rvmae_jax.data.locking import FolderLock, InUseError
from rvmae_jax.data.readers import VideoError
from rvmae_jax.data.records import NO_LABEL, Source, records_digest
from rvmae_jax.data.sources import SOURCES
from rvmae_jax.data.writing import whole_file, write_whole
from rvmae_jax.files import read_json
from rvmae_jax.models import build_model
from rvmae_jax.parts import model_functions
from rvmae_jax.tools import inputs
from rvmae_jax.tools.extraction.videos import (
  Extracted,
  check_kind,
  make_extractor,
)
from rvmae_jax.tools.outputs import check_settings
from rvmae_jax.training import sharding

_FEATURES = "'dense', 'frames' or a pooling: mean, mean_2, mean_std_8, change_2"
# Where neither the command line nor the run says how long a clip is.
_NUM_FRAMES = 16
# Options that decide what the files hold.
_OPTIONS = (
  *('kind', 'read', 'size', 'num_frames', 'stride', 'window', 'reset_every'),
  *('dtype', 'format', 'videos_per_shard'),
)


def extract(
  source: Source,
  extractor: Callable,
  output: str | os.PathLike,
  settings: dict[str, Any],
  process_id: int = 0,
  num_processes: int = 1,
) -> bool:
  """Writes the shards that are missing, then the index.

  Args:
    source: of the videos.
    extractor: records -> iterator of `extraction.videos.Extracted`.
    output: a folder.
    settings: what decides what is in the files; `format`, `dtype` and
      `videos_per_shard` among it.
    process_id, num_processes: which shards are this process's: every n-th.

  Returns:
    Whether the index was written: all shards are there.

  Raises:
    ValueError: `output` holds features made with other settings.
    InUseError: another process is writing the same shards.
  """
  folder = pathlib.Path(output)
  # One lock for each process, since all of them write to the folder.
  with FolderLock(folder, f'extract-{process_id}'):
    return _fill(folder, source, extractor, settings, process_id, num_processes)


def _fill(
  folder, source, extractor, settings, process_id, num_processes
) -> bool:
  settings = {
    **settings,
    'num_videos': len(source),
    'class_names': list(source.class_names),
    'sha256_of_list': records_digest(source),
  }
  check_settings(folder / files.SETTINGS, settings)
  size = settings['videos_per_shard']
  starts = range(0, len(source), size)
  shards = [folder / f'features-{i:05d}' for i in range(len(starts))]
  mine = [
    (shard, range(start, min(start + size, len(source))))
    for shard, start in list(zip(shards, starts))[process_id::num_processes]
    if not shard.with_suffix('.json').exists()
  ]
  for shard, _ in mine:  # Of runs that were killed.
    for leftover in folder.glob(f'.part-*-{shard.name}.*'):
      leftover.unlink(missing_ok=True)
  num_todo = sum(len(places) for _, places in mine)
  print(f'{len(source)} videos in {len(shards)} shards; {len(mine)} to do here')
  began, num_done = time.monotonic(), 0
  for shard, places in mine:
    _write_shard(shard, _extracted(source, places, extractor), settings)
    num_done += len(places)
    elapsed_s = time.monotonic() - began
    left_s = elapsed_s / num_done * (num_todo - num_done)
    print(
      f'{shard.name}: {num_done} of {num_todo} videos, '
      f'{num_done / elapsed_s:.1f} videos/s, about {left_s:.0f} s left',
      flush=True,
    )
  summaries = [shard.with_suffix('.json') for shard in shards]
  if not all(summary.exists() for summary in summaries):
    return False
  _write_index(folder, summaries)
  return True


def _extracted(source, places, extractor) -> Iterator[Extracted]:
  """Extracts features of some records; unreadable ones come first."""
  records = []
  for place in places:
    try:
      records.append(source[place])
    except VideoError as error:
      yield Extracted(error.path, NO_LABEL, reason=error.reason)
  yield from extractor(records)


def _write_shard(shard, found, settings) -> None:
  """Writes arrays and then their summary; both appear only when complete."""
  path = shard.with_suffix(files.SUFFIXES[settings['format']])
  rows, bad = [], []
  with whole_file(path) as part, files.shard_writer(part) as write:
    for video in found:
      if video.features is None:
        bad.append({'path': video.path, 'reason': video.reason})
        continue
      array = video.features.astype(settings['dtype'])
      rows.append(
        {
          'path': video.path,
          'label': video.label,
          'num_frames': video.num_frames,
          'shape': 'x'.join(map(str, array.shape)),
          'file': path.name,
          'offset': write(array),
        }
      )
  summary = json.dumps({'videos': rows, 'bad_videos': bad}, indent=1)
  write_whole(shard.with_suffix('.json'), summary)


def _write_index(folder: pathlib.Path, summaries) -> None:
  """Merges what the shards say; the index comes last."""
  found = [read_json(path) for path in summaries]
  for name, key, columns in (
    (files.BAD_VIDEOS, 'bad_videos', ('path', 'reason')),
    (files.INDEX, 'videos', files.COLUMNS),
  ):
    with (
      whole_file(folder / name) as part,
      open(part, 'w', **files.CSV_TEXT) as file,
    ):
      writer = csv.DictWriter(file, columns)
      writer.writeheader()
      for shard in found:
        writer.writerows(shard[key])


def choose_source(text: str, split: str, run_config) -> dict[str, Any]:
  """The config of the source to read: as named, or else the run's own.

  Raises:
    ValueError: none is named, and the run has none or several.
  """
  if text:
    return inputs.source_config(text, split)
  sources = run_config.data.get('sources') or {}
  if len(sources) != 1:
    raise ValueError(
      f'--input is needed: the checkpoint names {len(sources)} sources'
      f'{": " if sources else ""}{", ".join(sources)}.'
    )
  [config] = sources.to_dict().values()
  config = {k: v for k, v in config.items() if k != 'weight'}
  return config | ({'split': split} if split else {})


def fill_options(
  options: dict[str, Any], run_data: Mapping[str, Any]
) -> dict[str, Any]:
  """Options with what was left open taken from the run.

  Args:
    options: of the command line.
    run_data: the run's `config.data`.
  """
  size = run_data['crop'].size
  if options['size']:
    size = config_utils.parse_size(options['size'])
  clip = clips.unwrapped(run_data['clip'])
  num_frames = clip.get('num_frames', _NUM_FRAMES)
  return {
    **options,
    'size': [int(side) for side in size],
    'num_frames': options['num_frames'] or num_frames,
    'window': options['window'] or num_frames,
  }


def _parser() -> argparse.ArgumentParser:
  parser = command_line('rvmae_jax.tools.extract', __doc__)
  add = parser.add_argument
  add(
    '--checkpoint', required=True, help='a run, a checkpoint or a weights file'
  )
  add(
    '--ema',
    action='store_true',
    help='use the moving average of the parameters',
  )
  add('--input', default='', help=inputs.HELP)
  add(
    '--split',
    default='',
    help=f'{inputs.SPLIT_HELP}; without --input, that of the run',
  )
  add('--output', required=True, help='folder to write to')
  add('--format', choices=files.SUFFIXES, default='arrayrecord')
  add('--dtype', choices=('float32', 'float16'), default='float32')
  add('--features', dest='kind', default='mean_std_8', help=_FEATURES)
  add('--read', choices=('clip', 'all'), default='clip')
  add('--size', default='', help="HEIGHTxWIDTH; default: the run's crops")
  add(
    '--num_frames',
    type=at_least(0),
    default=0,
    help='frames in a clip; 0: as in the run, or 16',
  )
  add(
    '--stride',
    type=at_least(0),
    default=0,
    help='frames between frames; 0: for clips, spread over the video',
  )
  add('--batch_size', type=at_least(1), default=16, help='clips in a batch')
  add(
    '--window',
    type=at_least(0),
    default=0,
    help='frames in a window; 0: as in the run, or 16',
  )
  add(
    '--chunk',
    type=at_least(1),
    default=8,
    help='frames that a recurrent model encodes at once',
  )
  add(
    '--reset_every',
    type=at_least(0),
    default=0,
    help='frames until the state is reset; 0: never',
  )
  add('--videos_per_shard', type=at_least(1), default=128)
  add(
    '--process_id',
    type=at_least(0),
    default=0,
    help='which of the processes this is, from 0',
  )
  add('--num_processes', type=at_least(1), default=1)
  return parser


@explains_errors('extract', InUseError)
def main(argv: Sequence[str] | None = None) -> int:
  """The command line; returns the exit code."""
  parser = _parser()
  arguments = parser.parse_args(argv)
  if arguments.process_id >= arguments.num_processes:
    parser.error(
      f'--process_id={arguments.process_id}: the {arguments.num_processes} of '
      '--num_processes are counted from 0.'
    )
  params, config = weights.load(arguments.checkpoint, ema=arguments.ema)
  check_kind(arguments.kind)
  options = fill_options(vars(arguments), config.data)
  source_config = choose_source(arguments.input, arguments.split, config)
  extractor = make_extractor(
    model_functions(
      build_model(config.model),
      None,
      params,
      sharding.make_mesh(),
    ),
    options,
    config_utils.token_size(config.model),
  )
  is_finished = extract(
    SOURCES.build(source_config),
    extractor,
    arguments.output,
    {
      'source': dict(source_config),
      'weights': weights.params_digest(params),
      **{name: options[name] for name in _OPTIONS},
    },
    arguments.process_id,
    arguments.num_processes,
  )
  if not is_finished:
    print('The shards of other processes are still missing; no index yet.')
    return 0
  folder = files.FeatureFolder(arguments.output)
  bad_videos = pathlib.Path(arguments.output, files.BAD_VIDEOS)
  with open(bad_videos, **files.CSV_TEXT) as file:
    bad = list(csv.DictReader(file))
  for video in bad:
    print(f'skipped {video["path"]}: {video["reason"]}')
  print(
    f'{arguments.output}: {arguments.kind} features of {len(folder)} videos; '
    f'{len(bad)} could not be read'
  )
  return 0


if __name__ == '__main__':
  sys.exit(main())
