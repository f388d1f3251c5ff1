"""Runs killed with `kill -9` at random moments equal runs that were left alone.

`RVMAE_KILLS=100 pytest tests/test_kills.py` kills a hundred times.
"""

import dataclasses
import itertools
import json
import multiprocessing
import os
import pathlib
import random
import time

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from tests.simulated import with_devices
from tests.tiny_recipe import get_config

_NUM_KILLS = int(os.environ.get('RVMAE_KILLS', '3'))
_NUM_STEPS = 12

# Each run is a fresh process; what it imports is there when it begins.
_processes = multiprocessing.get_context('forkserver')
_processes.set_forkserver_preload(['rvmae_jax.train', 'tests.tiny_recipe'])


@dataclasses.dataclass(frozen=True)
class _Run:
  """Settings of a run."""

  num_workers: int
  accumulation_steps: int
  fsdp: int


_RUNS = [
  _Run(num_workers=2, accumulation_steps=2, fsdp=2),
  _Run(num_workers=0, accumulation_steps=1, fsdp=2),
  _Run(num_workers=0, accumulation_steps=2, fsdp=1),
  _Run(num_workers=2, accumulation_steps=1, fsdp=1),
]


def _train(run: _Run, workdir: str) -> None:
  """What the killed process does."""
  from rvmae_jax.train import train

  os.environ.update(with_devices(2))
  config = get_config(f'steps={_NUM_STEPS}')
  config.data.num_workers = run.num_workers
  config.accumulation_steps = run.accumulation_steps
  config.mesh.fsdp = run.fsdp
  config.checkpoint.every_steps = 2
  train(config, workdir)


def _start(run: _Run, workdir: pathlib.Path):
  process = _processes.Process(target=_train, args=(run, str(workdir)))
  process.start()
  return process


def _is_saving(workdir: pathlib.Path) -> bool:
  """Whether a checkpoint is half-written."""
  return any(workdir.glob('checkpoints/*tmp*'))


def _kill_at_random(process, workdir, rng) -> str:
  """Kills a run at some moment, if it has not ended by then.

  Returns:
    What it was doing; '' if it had ended.
  """

  def wait_for(happened):
    while process.is_alive() and not happened():
      time.sleep(0.005)

  when = rng.choice(['any time', 'step', 'saving', 'saving'])
  if when == 'any time':
    process.join(rng.uniform(0, 10))
  else:
    # Some steps further than those before have come.
    num_rows = len(_rows(workdir)) + rng.randrange(1, _NUM_STEPS // 3)
    wait_for(lambda: len(_rows(workdir)) >= min(num_rows, _NUM_STEPS))
    if when == 'saving':
      wait_for(lambda: _is_saving(workdir))
    time.sleep(rng.uniform(0, 0.05))
  if not process.is_alive():
    assert process.exitcode == 0
    return ''
  process.kill()
  process.join()
  if _is_saving(workdir):
    return 'saving'
  return 'training' if (workdir / 'metrics.jsonl').exists() else 'starting'


def _rows(workdir: pathlib.Path) -> list[tuple[int, float]]:
  path = workdir / 'metrics.jsonl'
  lines = path.read_text().splitlines(True) if path.exists() else []
  rows = [json.loads(line) for line in lines if line.endswith('\n')]
  return [(row['step'], row['loss']) for row in rows]


def _arrays(workdir: pathlib.Path):
  """The last checkpoint: parameters, optimizer, counts; and the position."""
  path = workdir / 'checkpoints' / str(_NUM_STEPS)
  arrays = ocp.PyTreeCheckpointHandler().restore(path / 'state')
  return jax.tree.map(np.asarray, arrays), (path / 'data/metadata').read_text()


def _assert_same(workdir, whole) -> None:
  assert _rows(workdir) == _rows(whole)
  (arrays, position), (expected, expected_position) = map(
    _arrays, (workdir, whole)
  )
  jax.tree.map(np.testing.assert_array_equal, arrays, expected)
  assert position == expected_position
  # Nothing is left of what was cut off.
  names = {path.name for path in (workdir / 'checkpoints').iterdir()}
  assert names == {str(_NUM_STEPS - 2), str(_NUM_STEPS)}
  assert not (workdir / 'train.lock').exists()


def _kill_until_done(run, workdir, rng, at_most) -> list[str]:
  """Starts a run again and again until it ends; what it did when killed."""
  killed = []
  while True:
    process = _start(run, workdir)
    if len(killed) < at_most:
      doing = _kill_at_random(process, workdir, rng)
      if doing:
        killed.append(doing)
        step = max([step for step, _ in _rows(workdir)], default=0)
        print(f'{run}: killed while {doing}, step {step}', flush=True)
        continue
    process.join()
    assert process.exitcode == 0
    return killed


@pytest.mark.slow
def test_killed_runs_equal_runs_left_alone(tmp_path):
  """To the bit: losses, parameters, optimizer and data position."""
  seed = int(os.environ.get('RVMAE_KILLS_SEED', 4 * random.randrange(10**6)))
  print(f'RVMAE_KILLS_SEED={seed}')
  rng = random.Random(seed)
  num_killed = 0
  # Several of these, started side by side, do not all begin with the same.
  runs = _RUNS[seed % len(_RUNS) :] + _RUNS[: seed % len(_RUNS)]
  for number, run in enumerate(itertools.cycle(runs)):
    folder = tmp_path / f'{run.num_workers}{run.accumulation_steps}{run.fsdp}'
    whole, workdir = folder / 'whole', folder / str(number)
    if not whole.exists():
      _kill_until_done(run, whole, rng, at_most=0)
    left = _NUM_KILLS - num_killed
    killed = _kill_until_done(run, workdir, rng, min(left, 5))
    _assert_same(workdir, whole)
    num_killed += len(killed)
    print(f'{run}: the same as when left alone; {num_killed} kills', flush=True)
    if num_killed == _NUM_KILLS:
      return
