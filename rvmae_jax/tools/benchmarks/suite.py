"""What is measured on a GPU, and what is hoped for."""

import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from rvmae_jax.layers.transformer import REMAT_POLICIES
from rvmae_jax.tools.benchmark_step import PLAIN
from rvmae_jax.tools.benchmarks.measurement import Measurement

# Measurement -> its result, as its command printed it.
Results = Mapping[str, dict[str, Any]]

# Beside the recipe as it is; the policies of `remat` are added.
_SETTINGS = (
  'model.attention=xla',
  'model.attention=blockwise',
  'model.scan_layers=True',
  'model.time_unroll=4',
  'optimizer.moment_dtype=bfloat16',
)
# Memory beside the parameters' own is left to PyTorch.
_SHARED = {'XLA_PYTHON_CLIENT_PREALLOCATE': 'false'}


def gpu_suite(
  folder: pathlib.Path, videos: str = '', davis: str = '', note: bool = False
) -> list[Measurement]:
  """What is worth knowing of one GPU, most important first.

  Args:
    folder: of results, and of the runs that are measured.
    videos: to train on besides sprites, as `tools.inputs` names them.
    davis: folder of DAVIS, for the run of note.
    note: adds the run of note, which trains for longer and tracks.
  """
  rvm = 'configs/rvm_pretrain.py:variant={}'.format
  videomae = 'configs/videomae.py:variant=B'
  policies = [f'model.remat={p}' for p in REMAT_POLICIES if p != 'none']
  suite = [
    _tool('attention'),
    Measurement(
      'tests',
      ('-m', 'pytest', '-q', 'tests/layers/test_attention.py', '-k', 'cudnn'),
      180,
      {'JAX_PLATFORMS': 'cuda,cpu'},
    ),
    _step('rvm_b_plain', rvm('B'), 32, plain=True),
    _step('rvm_l_plain', rvm('L'), 16, plain=True),
    _hugging_face(videomae, 64, '--compile', '--seconds=10'),
    _run('run', rvm('S'), folder, videos),
    _parts('parts_rvm_b', rvm('B'), 64),
    _step(
      *('rvm_b_settings', rvm('B'), 64, 'batch_size=128', 'batch_size=256'),
      *(*policies, *_SETTINGS),
    ),
    _tool('stream', '--config', rvm('S'), '--streams=1,8'),
    _parts('parts_videomae_b', videomae, 64),
    _step('videomae_v2_b', 'configs/videomae_v2.py:variant=B', 64),
    _step('arvideo_b', 'configs/arvideo.py:variant=B', 64),
    _parts('parts_rvm_l', rvm('L'), 32),
    _step(
      *('rvm_l_settings', rvm('L'), 32, 'batch_size=64', 'batch_size=128'),
      *(*policies, 'model.scan_layers=True'),
    ),
  ]
  return suite + (_run_of_note(folder, rvm('S'), videos, davis) if note else [])


def quick_suite(folder: pathlib.Path) -> list[Measurement]:
  """The same kinds of measurements, tiny: do they work here at all?"""
  recipe = 'configs/{}.py:variant=tiny,runlocal'.format
  small = '--config.batch_size=2', '--config.data.crop.size=(32, 32)'
  rvm = '--config', recipe('rvm_pretrain'), *small
  brief = '--seconds=0.1'
  return [
    _tool('attention', '--tokens=5', '--rows=1', '--heads=1'),
    _tool('step', *rvm, '--plain', brief, name='rvm_plain'),
    _hugging_face(recipe('videomae'), 2, brief),
    _tool('run', *rvm, f'--workdir={folder}/run', '--sprites=4', '--steps=10'),
    _tool('parts', '--config', recipe('videomae'), *small, brief),
    _tool('stream', *rvm, '--size=16x16', '--streams=1', '--frames=2'),
  ]


class Target(NamedTuple):
  """What is hoped for.

  Attributes:
    text: what of.
    wanted: a number.
    is_least: whether `wanted` is the least, or else the most.
    found: results -> the number, or KeyError where it was not measured.
  """

  text: str
  wanted: float
  is_least: bool
  found: Callable[[Results], float]

  def line(self, results: Results) -> str:
    """One line of a table."""
    sign = '>=' if self.is_least else '<='
    start = f'{self.text:52} {sign} {self.wanted:<6g}'
    try:
      found = self.found(results)
    except KeyError:
      return f'{start} not measured'
    is_met = found == self.wanted or (found > self.wanted) == self.is_least
    return f'{start} {found:<10.4g} {"met" if is_met else "missed"}'


def _best_mfu(prefix: str) -> Callable[[Results], float]:
  """The best of all settings and batches of one network."""

  def found(results):
    shares = [
      figures['mfu']
      for name, result in results.items()
      if name.startswith(prefix)
      for setting, figures in result.items()
      if isinstance(figures, dict) and 'mfu' in figures and setting != PLAIN
    ]
    if not shares:
      raise KeyError(prefix)
    return max(shares)

  return found


def _against_plain(name: str, figure: str) -> Callable[[Results], float]:
  return lambda results: (
    results[name]['as given'][figure] / results[name][PLAIN][figure]
  )


def _against_hugging_face(theirs: str) -> Callable[[Results], float]:
  def found(results):
    result = results['hugging_face']
    return result['rvmae_jax']['clips_per_s'] / result[theirs]['clips_per_s']

  return found


def _largest_error(results: Results) -> float:
  return max(
    max(figures['forward_error'], figures['gradient_error'])
    for figures in results['attention'].values()
    if isinstance(figures, dict) and 'forward_error' in figures
  )


TARGETS = (
  # bfloat16 has 8 bits: 0.4 % of each number.
  Target('attention: largest relative error', 0.02, False, _largest_error),
  *(
    target
    for size in 'BL'
    for target in (
      Target(f'RVM-{size}: MFU', 0.45, True, _best_mfu(f'rvm_{size.lower()}_')),
      Target(
        f'RVM-{size}: clips/s against the plain transcription',
        *(2, True, _against_plain(f'rvm_{size.lower()}_plain', 'clips_per_s')),
      ),
      Target(
        f'RVM-{size}: memory against the plain transcription',
        *(0.5, False, _against_plain(f'rvm_{size.lower()}_plain', 'gib')),
      ),
    )
  ),
  Target(
    'VideoMAE-B: clips/s against Hugging Face',
    *(2, True, _against_hugging_face('hugging face')),
  ),
  Target(
    'VideoMAE-B: clips/s against Hugging Face, compiled',
    *(1, True, _against_hugging_face('hugging face, compiled')),
  ),
  Target(
    'RVM-S: share of the time waiting for data',
    *(0.02, False, lambda results: results['run']['run']['data_wait_share']),
  ),
)


def _tool(
  tool: str, *arguments: str, name: str = '', limit_s: float = 300
) -> Measurement:
  """A `tools.benchmark_*`, named after it unless by `name`."""
  module = f'rvmae_jax.tools.benchmark_{tool}'
  return Measurement(name or tool, ('-m', module, *arguments), limit_s)


def _step(
  name: str, config: str, batch_size: int, *against: str, plain: bool = False
) -> Measurement:
  return _tool(
    'step',
    *('--config', config, f'--config.batch_size={batch_size}', '--seconds=5'),
    *(f'--against={changes}' for changes in against),
    *(('--plain',) if plain else ()),
    name=name,
    limit_s=180 + 90 * len(against),
  )


def _parts(name: str, config: str, batch_size: int) -> Measurement:
  arguments = '--config', config, f'--config.batch_size={batch_size}'
  return _tool('parts', *arguments, name=name)


def _hugging_face(config: str, batch_size: int, *arguments: str) -> Measurement:
  module = 'rvmae_jax.tools.benchmark_hugging_face'
  batch = f'--config.batch_size={batch_size}'
  command = '-m', module, '--config', config, batch, *arguments
  return Measurement('hugging_face', command, 400, _SHARED)


def _run(
  name: str, config: str, folder: pathlib.Path, videos: str, *arguments: str
) -> Measurement:
  return _tool(
    *('run', '--config', config, '--config.batch_size=64'),
    *(f'--workdir={folder}/{name}', f'--videos={videos}', *arguments),
    name=name,
    limit_s=900,
  )


def _run_of_note(
  folder: pathlib.Path, config: str, videos: str, davis: str
) -> list[Measurement]:
  """Trains, draws the loss, and follows masks beside random weights."""
  run = f'{folder}/note/run'
  tracking = 'configs/eval_label_propagation.py'
  if davis:
    tracking += f':dataset=davis,path={os.path.abspath(davis)}'
  evaluate = (
    *('-m', 'rvmae_jax.evaluate', '--config', tracking),
    *(f'--checkpoint={run}', f'--workdir={run}/evaluation'),
  )
  report = ('-m', 'rvmae_jax.tools.report', f'--workdir={run}')
  return [
    _run('note', config, folder, videos, '--sprites=2000', '--steps=4000'),
    Measurement('note_tracking', evaluate, 600),
    Measurement('note_report', report, 120),
  ]
