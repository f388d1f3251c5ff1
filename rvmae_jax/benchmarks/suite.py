"""What is worth measuring on a GPU."""

import pathlib
from collections.abc import Mapping

from rvmae_jax.benchmarks.measurement import Measurement
from rvmae_jax.layers.transformer import REMAT_POLICIES

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
# Memory of the GPU: nearly all of it for JAX, or shared with PyTorch.
_ALONE = {'XLA_PYTHON_CLIENT_MEM_FRACTION': '0.95'}
_SHARED = {'XLA_PYTHON_CLIENT_PREALLOCATE': 'false'}
# XLA joins the products of source and target tokens, which have one kernel, and
# copies all of them for it: by the plan, 3 % of the bytes of a step of RVM-S.
_UNMERGED = {**_ALONE, 'XLA_FLAGS': '--xla_gpu_dot_merger_threshold_mb=0'}


def gpu_suite(folder: pathlib.Path, videos: str = '') -> list[Measurement]:
  """What is worth knowing of one GPU, most important first.

  Args:
    folder: of results, and of the run that is measured.
    videos: to train on besides sprites, as `tools.inputs` names them.
  """
  rvm = 'configs/rvm_pretrain.py:variant={}'.format
  videomae = 'configs/videomae.py:variant=B'
  policies = [f'model.remat={p}' for p in REMAT_POLICIES if p != 'none']
  return [
    Measurement(
      'tests',
      ('-m', 'pytest', '-q', 'tests/layers/test_attention.py', '-k', 'cudnn'),
      180,
      {'JAX_PLATFORMS': 'cuda,cpu'},
    ),
    _step('rvm_b_plain', rvm('B'), 32, plain=True),
    _step('rvm_l_plain', rvm('L'), 16, plain=True),
    _hugging_face('hugging_face', videomae, 64),
    _benchmark(
      *('run', '--config', rvm('S'), '--config.batch_size=64'),
      *(f'--workdir={folder}/run', f'--videos={videos}'),
      limit_s=900,
    ),
    _parts('parts_rvm_b', rvm('B'), 64),
    _step('rvm_b_settings', rvm('B'), 64, *_batches(64), *policies, *_SETTINGS),
    _step('rvm_s', rvm('S'), 64),
    _step('rvm_s_unmerged', rvm('S'), 64, environment=_UNMERGED),
    _benchmark('stream', '--config', rvm('S'), '--streams=1,8'),
    _parts('parts_videomae_b', videomae, 64),
    _hugging_face('hugging_face_compiled', videomae, 64, '--compile'),
    _step('videomae_v2_b', 'configs/videomae_v2.py:variant=B', 64),
    _step('arvideo_b', 'configs/arvideo.py:variant=B', 64),
    _parts('parts_rvm_l', rvm('L'), 32),
    _step('rvm_l_settings', rvm('L'), 32, *_batches(32), *policies),
  ]


def quick_suite(folder: pathlib.Path) -> list[Measurement]:
  """The same kinds of measurements, tiny: do they work here at all?"""
  recipe = 'configs/{}.py:variant=tiny,runlocal'.format
  small = '--config.batch_size=2', '--config.data.crop.size=(32, 32)'
  rvm = '--config', recipe('rvm_pretrain'), *small
  videomae = '--config', recipe('videomae'), *small, '--seconds=0.1'
  run = f'--workdir={folder}/run', '--sprites=4', '--steps=10'
  return [
    _benchmark('step', *videomae),
    _benchmark('parts', *videomae),
    _benchmark('hugging_face', *videomae),
    _benchmark('run', *rvm, *run),
    _benchmark('stream', *rvm, '--size=16x16', '--streams=1', '--frames=2'),
  ]


def _benchmark(
  benchmark: str,
  *arguments: str,
  name: str = '',
  limit_s: float = 300,
  environment: Mapping[str, str] = _ALONE,
) -> Measurement:
  """One of `benchmarks`, named after it unless by `name`."""
  command = '-m', 'rvmae_jax.benchmarks', benchmark, *arguments
  return Measurement(name or benchmark, command, limit_s, environment)


def _step(
  name: str,
  config: str,
  batch_size: int,
  *against: str,
  plain: bool = False,
  environment: Mapping[str, str] = _ALONE,
) -> Measurement:
  return _benchmark(
    'step',
    *('--config', config, f'--config.batch_size={batch_size}', '--seconds=5'),
    *(f'--against={changes}' for changes in against),
    *(('--plain',) if plain else ()),
    name=name,
    # Mostly to compile; that of the plain one takes as long as five others.
    limit_s=300 + 100 * (len(against) + 5 * plain),
    environment=environment,
  )


def _batches(batch_size: int) -> list[str]:
  """Twice and four times as many clips, if they fit."""
  return [f'batch_size={times * batch_size}' for times in (2, 4)]


def _parts(name: str, config: str, batch_size: int) -> Measurement:
  arguments = '--config', config, f'--config.batch_size={batch_size}'
  return _benchmark('parts', *arguments, name=name)


def _hugging_face(
  name: str, config: str, batch_size: int, *arguments: str
) -> Measurement:
  return _benchmark(
    *('hugging_face', '--config', config, f'--config.batch_size={batch_size}'),
    *arguments,
    name=name,
    limit_s=400,
    environment=_SHARED,
  )
