"""What `doctor checkpoint` says of runs, files of all makers, and damage."""

import json
import pathlib
import shutil

import jax
import numpy as np
import pytest

from rvmae_jax import config_utils, parts
from rvmae_jax.interop import (
  hugging_face,
  rvm_released,
  safetensors,
  state_dict,
  torch_files,
)
from rvmae_jax.models import build_model
from rvmae_jax.tools import doctor
from rvmae_jax.tools.checks.checkpoints import check_checkpoint
from rvmae_jax.training.checkpointing import Checkpointer
from rvmae_jax.training.state import TrainState
from tests.interop.sharded_files import write_sharded

CONFIG = config_utils.load_config(
  str(pathlib.Path(__file__).parents[3] / 'configs/rvm_quickstart.py')
)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  """A run of the quick start, at step 7."""
  shapes = parts.build_parts(CONFIG).shapes.params
  params = jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), shapes)
  workdir = tmp_path_factory.mktemp('run')
  state = TrainState(np.int32(7), params, (), None, np.int32(0))
  with Checkpointer(workdir, CONFIG) as checkpointer:
    checkpointer.save(7, state, None)
  return workdir, params


@pytest.fixture
def released(run, tmp_path):
  """The same weights as the authors of RVM would publish them."""
  path = tmp_path / 'rvm.npz'
  np.savez(path, **rvm_released.to_released(run[1]))
  return path


@pytest.fixture(scope='module')
def videomae():
  """Arrays of the original code's VideoMAE-S, of stride 0."""
  model = build_model({'name': 'videomae', 'variant': 'S', 'tubelet_size': 2})
  ids = jax.ShapeDtypeStruct((1, 1), np.int32)
  video = jax.ShapeDtypeStruct((1, 2, 16, 32, 3), np.uint8)
  shapes = jax.eval_shape(
    model.init,
    jax.random.key(0),
    {'video': video, 'ids_keep': ids, 'ids_mask': ids},
  )
  params = jax.tree.map(
    lambda leaf: np.broadcast_to(np.float32(0), leaf.shape), shapes['params']
  )
  return params


def test_what_losses_need_besides_is_not_asked_for(run, tmp_path):
  config = config_utils.merged(
    CONFIG,
    {
      'losses': {'perceptual': 0.1},
      'perceptual_checkpoint': str(tmp_path / 'vgg16.pth'),
    },
  )
  state = TrainState(np.int32(7), run[1], (), None, np.int32(0))
  with Checkpointer(tmp_path / 'judged', config) as checkpointer:
    checkpointer.save(7, state, None)
  report = check_checkpoint(tmp_path / 'judged')
  assert (report.loads, report.error) == ('whole', '')


def test_a_run_tells_step_model_and_recipe(run):
  report = check_checkpoint(run[0])
  assert report.kind == 'run of rvmae_jax'
  assert (report.step, report.loads) == (7, 'whole')
  assert report.model.startswith('rvm tiny: ')
  assert report.config['clip']['gap'] == (1, 4)
  assert report.config['sources'] == {'videos': 'moving_sprites'}
  one = check_checkpoint(run[0] / 'checkpoints' / '7')
  assert one.kind == 'checkpoint of rvmae_jax'
  assert one.num_matching == report.num_matching == report.num_arrays


def test_a_run_that_was_cut_off_is_damaged(run, tmp_path):
  shutil.copytree(run[0], tmp_path / 'copy')
  state = tmp_path / 'copy' / 'checkpoints' / '7' / 'state'
  (state / '_METADATA').unlink()
  report = check_checkpoint(tmp_path / 'copy')
  assert (report.kind, report.loads) == ('damaged', 'not at all')
  assert '_METADATA' in report.error
  assert 'Another step may be intact' in report.note


def test_a_released_file_and_what_does_not_fit_in_it(released):
  report = check_checkpoint(released)
  assert (report.kind, report.loads) == ('released RVM', 'whole')
  assert report.dtypes == {'float32': report.num_arrays}
  arrays = dict(np.load(released))
  arrays['extra'] = arrays.pop('cls_token')
  arrays['encoder/LayerNorm_0/bias'] = np.full(3, np.nan, np.float32)
  np.savez(released, **arrays)
  report = check_checkpoint(released)
  assert "No array 'cls_token'" in report.error
  arrays['cls_token'] = arrays['extra']
  np.savez(released, **arrays)
  report = check_checkpoint(released)
  assert (report.loads, report.extra) == ('in part', ['extra'])
  assert doctor.main(['checkpoint', str(released)]) == 1
  [shape] = report.misshapen
  assert shape == 'encoder/LayerNorm_0/bias (3,), the model has (128,)'
  assert report.not_finite == ['encoder/LayerNorm_0/bias']


def test_a_file_of_the_papers_code(videomae, tmp_path):
  origin = hugging_face.ORIGINS['videomae_original']
  arrays = state_dict.to_state_dict(videomae, origin)
  del arrays['decoder.norm.weight']
  path = tmp_path / 'checkpoint.pth'
  torch_files.write(path, {'model': arrays})
  report = check_checkpoint(path)
  assert report.kind == 'VideoMAE, original pre-training'
  assert report.model.startswith('videomae S: attention joint, patch 16')
  assert report.loads == 'in part'
  assert report.missing == ['decoder/blocks/norm/scale']


def test_weights_in_several_files_are_named(videomae, tmp_path):
  origin = hugging_face.ORIGINS['videomae']
  arrays = state_dict.to_state_dict(videomae, origin)
  files = write_sharded(
    tmp_path / 'pytorch_model.bin.index.json', arrays, num_files=2
  )
  report = check_checkpoint(tmp_path)
  assert report.kind == 'Hugging Face VideoMAE, in 2 files'
  assert (report.loads, report.num_matching) == ('whole', len(arrays))
  assert all(file.name in report.note for file in files)
  files[0].unlink()
  report = check_checkpoint(tmp_path)
  assert (report.kind, report.loads) == ('damaged', 'not at all')
  assert files[0].name in report.error


def test_a_foreign_file_is_unknown(tmp_path):
  path = tmp_path / 'resnet.safetensors'
  safetensors.write(path, {'conv1/weight': np.zeros(3, np.float32)})
  report = check_checkpoint(path)
  assert (report.kind, report.loads) == ('unknown', 'not at all')
  assert 'no known program' in report.error


@pytest.mark.parametrize('suffix', ['npz', 'safetensors', 'pth', 'bin'])
def test_a_cut_off_file_is_damaged(tmp_path, suffix):
  path = tmp_path / f'weights.{suffix}'
  path.write_bytes(b'PK\x03\x04' + bytes(50))
  report = check_checkpoint(path)
  assert (report.kind, report.loads) == ('damaged', 'not at all')
  assert 'Copy or download it again' in report.error


def test_the_command_prints_writes_json_and_exits(released, tmp_path, capsys):
  out = tmp_path / 'report.json'
  command = ['checkpoint', str(released), '--json', str(out)]
  assert doctor.main(command) == 0
  printed = capsys.readouterr().out
  assert 'released RVM' in printed and 'loads        whole' in printed
  assert json.loads(out.read_text())['loads'] == 'whole'
  assert doctor.main(['checkpoint', str(tmp_path)]) == 1
  assert 'No checkpoint at' in capsys.readouterr().out
  assert doctor.main(['checkpoint', str(tmp_path / 'nowhere')]) == 2
