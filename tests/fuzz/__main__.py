"""Reads damaged files of all kinds by the thousand and counts what happens.

  python -m tests.fuzz --mutants 10000
  python -m tests.fuzz --kinds npz torch --mutants 500 --workers 2
  python -m tests.fuzz --kinds npz --only 123   # one mutant again

A mutant is a kind and a number, which decide all of it. It is read in a process
of its own kind by the door that users take, and is to be read or refused with
an error that names the file. All else is a defect, and the exit status is 1:
another error, a program that ran, a crash, 30 seconds, 1 GiB of memory. Files
of defects stay in --folder.
"""

import argparse
import collections
import pathlib
import sys
import tempfile
import threading

from tests.fuzz.pool import HEADER, Tally, Worker

# Kind -> how many of all mutants, in hundredths. What is ours alone, and slow
# to read, has fewer.
KINDS = {
  **dict.fromkeys(('videos', 'lists', 'npz', 'safetensors'), 12),
  **dict.fromkeys(('torch', 'shards'), 12),
  **dict.fromkeys(('images', 'sharded', 'features', 'configs'), 5),
  'runs': 2,
  'manifests': 4,
  'reports': 2,
}
# Mutants that a worker takes at a time.
_BLOCK = 200


def main() -> int:
  """Runs what the arguments ask for."""
  parser = argparse.ArgumentParser(
    prog='python -m tests.fuzz', description=__doc__.split('\n')[0]
  )
  parser.add_argument('--mutants', type=int, default=10_000, help='in all')
  parser.add_argument(
    '--first', type=int, default=0, help='number of the first'
  )
  parser.add_argument('--only', type=int, help='this number alone')
  parser.add_argument('--kinds', nargs='+', choices=KINDS, default=[*KINDS])
  parser.add_argument('--workers', type=int, default=2)
  parser.add_argument('--folder', default='', help='where defects stay')
  arguments = parser.parse_args()
  folder = pathlib.Path(arguments.folder or tempfile.mkdtemp(prefix='fuzz_'))
  folder = folder.absolute()
  total = sum(KINDS[kind] for kind in arguments.kinds)
  jobs = collections.deque()
  for kind in arguments.kinds:
    count = -(-arguments.mutants * KINDS[kind] // total)
    numbers = range(arguments.first, arguments.first + count)
    if arguments.only is not None:
      numbers = [arguments.only]
    jobs += [
      (kind, numbers[i : i + _BLOCK]) for i in range(0, len(numbers), _BLOCK)
    ]
  tallies = {kind: Tally() for kind in arguments.kinds}
  lock = threading.Lock()

  def work(name: str) -> None:
    with Worker(folder / name) as worker:
      while True:
        with lock:
          if not jobs:
            return
          kind, job = jobs.popleft()
        for number in job:
          result = worker.check(kind, number)
          with lock:
            tallies[kind].add(result)
            if not sum(tallies[kind].outcomes.values()) % 100:
              print(tallies[kind].row(kind), flush=True)
            if result['outcome'] == 'defect' or arguments.only is not None:
              message = result['message']
              print(f'--- {kind} {number}: {message}', flush=True)

  threads = [
    threading.Thread(target=work, args=(f'worker_{i}',))
    for i in range(arguments.workers)
  ]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  print(f'\n{HEADER}')
  for kind, tally in tallies.items():
    print(tally.row(kind))
  outcomes = sum((t.outcomes for t in tallies.values()), collections.Counter())
  print(f'{outcomes.total()} mutants, {outcomes["defect"]} defects.')
  return int(outcomes['defect'] > 0)


if __name__ == '__main__':
  sys.exit(main())
