"""Checks whether test videos are among the training videos.

  python -m rvmae_jax.tools.doctor leakage --train VIDEOS --train_split train
      --test VIDEOS --test_split test

The two sides may be stored in different ways, such as shards here and the files
they were made from there: a few frames of each video are compared, so copies
that were scaled, encoded anew or renamed are found. Within one folder
`doctor videos` does the same, among all videos.
"""

import argparse
import dataclasses
import sys
from collections.abc import Iterator

import numpy as np

from rvmae_jax.commands import at_least
from rvmae_jax.data.decoding import VideoError, open_record
from rvmae_jax.data.records import Source
from rvmae_jax.tools import inputs
from rvmae_jax.tools.checks.duplicates import near_pairs, signature_of
from rvmae_jax.tools.threads import in_threads

_SHOWN = 200


@dataclasses.dataclass(frozen=True)
class LeakReport:
  """What two sets of videos have in common.

  Attributes:
    pairs: (training video, test video) that look the same.
    unread: (video, reason) that could not be compared.
    num_train, num_test: videos on each side.
  """

  pairs: list[tuple[str, str]]
  unread: list[tuple[str, str]]
  num_train: int
  num_test: int


def find_shared(
  train: Source, test: Source, num_workers: int = 0
) -> LeakReport:
  """Compares every test video with every training video.

  Args:
    train, test: any sources; their labels do not matter.
    num_workers: threads; 0 means one for each CPU core.
  """
  unread, names, signatures = [], [], []
  for source in (train, test):
    found = list(_signatures(source, num_workers))
    unread += [(path, reason) for path, reason, _ in found if reason]
    names.append([path for path, reason, _ in found if not reason])
    signatures.append(np.array([p for _, reason, p in found if not reason]))
  pairs = []
  if all(len(found) for found in signatures):
    pairs = [(names[0][a], names[1][b]) for a, b in near_pairs(*signatures)]
  return LeakReport(sorted({*pairs}), unread, len(train), len(test))


def _signatures(
  source: Source, num_workers: int
) -> Iterator[tuple[str, str, np.ndarray | None]]:
  """(path, '' or why it cannot be read, signature) of each video."""

  def read(index):
    try:
      record = source[index]
      with open_record(record) as reader:
        return record['path'], '', signature_of(reader)
    except VideoError as error:
      return error.path, error.reason, None

  yield from in_threads(read, range(len(source)), num_workers, 'videos read')


def add_command(commands: argparse._SubParsersAction) -> None:
  """Adds `doctor leakage`."""
  command = commands.add_parser(
    'leakage', help='find test videos that are also training videos'
  )
  command.set_defaults(run=_run)
  add = command.add_argument
  for side in ('train', 'test'):
    add(f'--{side}', required=True, metavar='VIDEOS', help=inputs.HELP)
    add(f'--{side}_split', default='', help=inputs.SPLIT_HELP)
  add(
    '--workers',
    type=at_least(0),
    default=0,
    help='number of threads; 0: one per core',
  )


def _run(arguments: argparse.Namespace) -> int:
  report = find_shared(
    inputs.open_source(arguments.train, arguments.train_split),
    inputs.open_source(arguments.test, arguments.test_split),
    arguments.workers,
  )
  for train, test in report.pairs[:_SHOWN]:
    print(f'{test} is in training as {train}')
  if len(report.pairs) > _SHOWN:
    print(f'... and {len(report.pairs) - _SHOWN} more')
  for path, reason in report.unread:
    print(f'{path} cannot be read: {reason}', file=sys.stderr)
  num_shared = len({test for _, test in report.pairs})
  print(
    f'{num_shared} of {report.num_test} test videos are among the '
    f'{report.num_train} training videos; {len(report.unread)} could not be '
    'read.'
  )
  # Nobody knows of a video that could not be compared.
  return int(num_shared > 0 or bool(report.unread))
