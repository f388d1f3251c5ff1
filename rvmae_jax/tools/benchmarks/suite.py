"""What is worth measuring on a GPU."""

import os
import pathlib

from rvmae_jax.layers.transformer import REMAT_POLICIES
from rvmae_jax.tools.benchmarks.measurement import Measurement

# Beside the recipe as it is; the policies of `remat` are added.
_SETTINGS = (
  'model.attention=xla',
  'model.attention=blockwise',
  'model.attention=headwise',
  'model.core_remat=none',
  'model.scan_layers=True',
  'model.time_unroll=4',
  'optimizer.moment_dtype=bfloat16',
)
# Nobody else needs the GPU's memory; or PyTorch does.
_ALONE = {'XLA_PYTHON_CLIENT_MEM_FRACTION': '0.95'}
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
    _hugging_face('hugging_face', videomae, 64),
    _run('run', rvm('S'), folder, videos),
    _parts('parts_rvm_b', rvm('B'), 64),
    _step('rvm_b_settings', rvm('B'), 64, *_batches(64), *policies, *_SETTINGS),
    _tool('stream', '--config', rvm('S'), '--streams=1,8'),
    _parts('parts_videomae_b', videomae, 64),
    _hugging_face('hugging_face_compiled', videomae, 64, '--compile'),
    _step('videomae_v2_b', 'configs/videomae_v2.py:variant=B', 64),
    _step('arvideo_b', 'configs/arvideo.py:variant=B', 64),
    _parts('parts_rvm_l', rvm('L'), 32),
    _step('rvm_l_settings', rvm('L'), 32, *_batches(32), *policies),
  ]
  return suite + (_run_of_note(folder, rvm('S'), videos, davis) if note else [])


def quick_suite(folder: pathlib.Path) -> list[Measurement]:
  """The same kinds of measurements, tiny: do they work here at all?"""
  recipe = 'configs/{}.py:variant=tiny,runlocal'.format
  small = '--config.batch_size=2', '--config.data.crop.size=(32, 32)'
  rvm = '--config', recipe('rvm_pretrain'), *small
  videomae = '--config', recipe('videomae'), *small, '--seconds=0.1'
  unlabelled = 'configs/eval_imported.py:runlocal,num_frames=8,size=32'
  return [
    _tool('attention', '--tokens=5', '--rows=1', '--heads=1'),
    _tool('step', *videomae),
    _tool('parts', *videomae),
    _tool('hugging_face', *videomae),
    _tool('run', *rvm, f'--workdir={folder}/run', '--sprites=4', '--steps=10'),
    _evaluate('probe', unlabelled, f'{folder}/run/run'),
    _tool('stream', *rvm, '--size=16x16', '--streams=1', '--frames=2'),
  ]


def _tool(
  tool: str, *arguments: str, name: str = '', limit_s: float = 300
) -> Measurement:
  """A `tools.benchmark_*`, named after it unless by `name`."""
  module = f'rvmae_jax.tools.benchmark_{tool}'
  command = '-m', module, *arguments
  return Measurement(name or tool, command, limit_s, _ALONE)


def _step(
  name: str, config: str, batch_size: int, *against: str, plain: bool = False
) -> Measurement:
  return _tool(
    'step',
    *('--config', config, f'--config.batch_size={batch_size}', '--seconds=5'),
    *(f'--against={changes}' for changes in against),
    *(('--plain',) if plain else ()),
    name=name,
    # Mostly to compile; that of the plain one takes as long as five others.
    limit_s=300 + 100 * (len(against) + 5 * plain),
  )


def _batches(batch_size: int) -> list[str]:
  """Twice and four times as many clips, if they fit."""
  return [f'batch_size={times * batch_size}' for times in (2, 4)]


def _parts(name: str, config: str, batch_size: int) -> Measurement:
  arguments = '--config', config, f'--config.batch_size={batch_size}'
  return _tool('parts', *arguments, name=name)


def _hugging_face(
  name: str, config: str, batch_size: int, *arguments: str
) -> Measurement:
  module = 'rvmae_jax.tools.benchmark_hugging_face'
  batch = f'--config.batch_size={batch_size}'
  command = '-m', module, '--config', config, batch, *arguments
  return Measurement(name, command, 400, _SHARED)


def _run(
  name: str, config: str, folder: pathlib.Path, videos: str, *arguments: str
) -> Measurement:
  return _tool(
    *('run', '--config', config, '--config.batch_size=64'),
    *(f'--workdir={folder}/{name}', f'--videos={videos}', *arguments),
    name=name,
    limit_s=900,
  )


def _evaluate(name: str, config: str, run: str) -> Measurement:
  command = (
    *('-m', 'rvmae_jax.evaluate', '--config', config),
    *(f'--checkpoint={run}', f'--workdir={run}/evaluation'),
  )
  return Measurement(name, command, 600)


def _run_of_note(
  folder: pathlib.Path, config: str, videos: str, davis: str
) -> list[Measurement]:
  """Trains, probes, follows masks beside random weights, draws all of it."""
  run = f'{folder}/note/run'
  probe = 'configs/eval_imported.py:size=256'
  tracking = 'configs/eval_label_propagation.py'
  if davis:
    tracking += f':dataset=davis,path={os.path.abspath(davis)}'
  report = ('-m', 'rvmae_jax.tools.report', f'--workdir={run}')
  # The recipe's own rate, in proportion to this batch, would learn little.
  rate = '--config.optimizer.lr_per_256=1.5e-4'
  learning = '--sprites=2000', '--steps=4000', rate
  return [
    _run('note', config, folder, videos, *learning),
    _evaluate('note_probe', probe, run),
    _evaluate('note_tracking', tracking, run),
    Measurement('note_report', report, 120),
  ]
