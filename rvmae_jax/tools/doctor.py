"""Checks videos, checkpoints and splits: what is wrong, and what to do.

  python -m rvmae_jax.tools.doctor videos DIR [--listing labels.csv]
      [--json report.json] [--workers 8] [--quick]
  python -m rvmae_jax.tools.doctor checkpoint PATH [--json report.json]
  python -m rvmae_jax.tools.doctor leakage --train VIDEOS --test VIDEOS

Exit code: 0 all is well, 1 there are problems, 2 the command itself is wrong.
"""

import collections
import dataclasses
import json
import pathlib
import sys
from collections.abc import Sequence

from rvmae_jax.commands import at_least, command_line, explains_errors
from rvmae_jax.data.writing import make_folder_of, write_whole
from rvmae_jax.tools.checks import checkpoints as checkpoint_checks
from rvmae_jax.tools.checks import leakage
from rvmae_jax.tools.checks import videos as video_checks

_TABLE_ROWS = 200


@explains_errors('doctor')
def main(argv: Sequence[str] | None = None) -> int:
  """Runs a subcommand; returns the exit code."""
  parser = command_line('rvmae_jax.tools.doctor', __doc__)
  commands = parser.add_subparsers(required=True, metavar='COMMAND')
  _add_videos(commands)
  checkpoint_checks.add_command(commands)
  leakage.add_command(commands)
  arguments = parser.parse_args(argv)
  return arguments.run(arguments)


def _add_videos(commands) -> None:
  command = commands.add_parser('videos', help='check a folder of videos')
  command.set_defaults(run=_videos)
  add = command.add_argument
  add('folder', metavar='DIR', help='folder of videos, with its subfolders')
  add('--listing', default='', help='CSV, JSON or JSONL list with splits')
  add('--json', default='', metavar='OUT', help='also write the report here')
  add(
    '--workers',
    type=at_least(0),
    default=0,
    help='number of threads; 0: one per core',
  )
  add('--quick', action='store_true', help='do not decode every frame')
  add('--min_frames', type=int, default=8, help='report shorter videos')
  add('--min_size', type=int, default=16, help='report smaller frames, pixels')


def _videos(arguments) -> int:
  make_folder_of(arguments.json)
  report = video_checks.check_videos(
    arguments.folder,
    listing=arguments.listing,
    num_workers=arguments.workers,
    quick=arguments.quick,
    min_frames=arguments.min_frames,
    min_size=arguments.min_size,
  )
  print(format_report(report))
  if arguments.json:
    content = json.dumps(to_json(report), indent=1)
    write_whole(pathlib.Path(arguments.json), content)
  return int(any(not problem.is_note for problem in report.problems))


def format_report(report: video_checks.FolderReport) -> str:
  """A table of the videos, then the problems, then their number."""
  lines = [_row(*_COLUMNS)]
  lines += [_video_row(video) for video in report.videos[:_TABLE_ROWS]]
  if len(report.videos) > _TABLE_ROWS:
    lines.append(f'... and {len(report.videos) - _TABLE_ROWS} more (--json)')
  by_kind = collections.defaultdict(list)
  for problem in report.problems:
    by_kind[problem.kind].append(problem)
  for kind, problems in by_kind.items():
    lines += ['', f'{kind.upper()} ({len(problems)}). {problems[0].remedy}']
    for problem in problems:
      lines.append(f'  {", ".join(problem.paths)}: {problem.reason}')
  frames = sum(video.num_frames for video in report.videos)
  hours = sum(video.duration_s for video in report.videos) / 3600
  counts = ', '.join(f'{len(found)} {kind}' for kind, found in by_kind.items())
  lines += [
    '',
    f'{len(report.videos)} videos, {frames} frames, {hours:.2f} hours: '
    f'{counts or "all is well"}',
  ]
  return '\n'.join(lines)


def to_json(report: video_checks.FolderReport) -> dict:
  """The report as plain values."""
  return {
    'videos': [dataclasses.asdict(video) for video in report.videos],
    'problems': [
      {
        **dataclasses.asdict(problem),
        'remedy': problem.remedy,
        'is_note': problem.is_note,
      }
      for problem in report.problems
    ],
  }


_COLUMNS = (
  *('path', 'split', 'container', 'codec', 'pixels', 'size', 'fps'),
  *('frames', 'seconds', 'rotated', 'rate'),
)


def _row(path, *cells) -> str:
  widths = (6, 10, 9, 12, 10, 7, 7, 8, 8, 8)
  padded = (str(cell).ljust(width) for cell, width in zip(cells, widths))
  return f'{path[-48:]:48} {" ".join(padded)}'.rstrip()


def _video_row(video: video_checks.VideoReport) -> str:
  if not video.codec and not video.num_frames:
    return f'{_row(video.path, video.split)} (cannot be read)'
  return _row(
    video.path,
    video.split,
    # ffmpeg names a family of formats.
    video.container.split(',')[0],
    video.codec,
    video.pixel_format,
    f'{video.width}x{video.height}',
    f'{video.fps:.2f}',
    video.num_frames,
    f'{video.duration_s:.2f}',
    f'{video.rotation_degrees or ""} {"flip" * video.is_mirrored}'.strip(),
    'variable' if video.variable_rate else 'constant',
  )


if __name__ == '__main__':
  sys.exit(main())
