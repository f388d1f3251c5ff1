"""Artifacts are whole, and their notes say what is in them."""

import dataclasses
import hashlib
import json
import logging

import jax
import numpy as np
import pytest

from rvmae_jax.artifacts import WRITERS, kind_of, writing


def test_a_note_lies_beside_and_a_file_is_replaced(program, tmp_path):
  out = tmp_path / 'new' / 'x.stablehlo'
  for weights in ('first', 'second'):
    note = writing.write(program, out, {'weights': weights})
  assert {path.name for path in out.parent.iterdir()} == {
    'x.stablehlo',
    'x.stablehlo.json',
  }
  assert json.loads(writing.note_path(out).read_text()) == json.loads(
    json.dumps(note)
  )
  assert note['weights'] == 'second'
  assert note['platforms'] == ['cpu', 'cuda', 'tpu']
  content = out.read_bytes()
  assert note['files'] == {
    'x.stablehlo': {
      'bytes': len(content),
      'sha256': hashlib.sha256(content).hexdigest(),
    }
  }
  # The note's own words call it.
  names = {'video': np.ones((2, 3), np.float32)}
  exec(note['call'].replace("'x.stablehlo'", repr(str(out))), names)
  np.testing.assert_array_equal(names['outputs']['features'], 2)


def test_an_artifact_that_fails_leaves_what_was_there(
  program, tmp_path, monkeypatch
):
  out = tmp_path / 'x.stablehlo'
  writing.write(program, out, {})
  before = {path: path.read_bytes() for path in tmp_path.iterdir()}

  def export(*_, **__):
    raise ValueError('no such operation')

  monkeypatch.setattr(jax.export, 'export', export)
  with pytest.raises(ValueError, match='no such operation'):
    writing.write(program, out, {'weights': 'other'})
  assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_is_not_replaced(program, tmp_path):
  (tmp_path / 'saved_model').mkdir()
  with pytest.raises(FileExistsError, match='a folder is not replaced'):
    writing.write(program, tmp_path / 'saved_model', {})


@pytest.mark.parametrize(
  ('module', 'name', 'extra'),
  [
    ('jax2onnx', 'x.onnx', 'onnx'),
    ('tensorflow', 'x.tflite', 'tensorflow'),
    ('tensorflow', 'saved_model', 'tensorflow'),
  ],
)
def test_a_converter_that_is_missing_is_named_with_its_extra(
  program, tmp_path, monkeypatch, module, name, extra
):
  monkeypatch.setitem(__import__('sys').modules, module, None)
  with pytest.raises(ImportError, match=rf"'rvmae_jax\[{extra}\]'"):
    writing.write(program, tmp_path / name, {})
  assert list(tmp_path.iterdir()) == []


def test_what_tensorflow_cannot_read_is_refused(program, tmp_path, monkeypatch):
  tf = pytest.importorskip('tensorflow')
  from jax.experimental import jax2tf

  def too_new(*_):
    raise tf.errors.InvalidArgumentError(None, None, 'Cannot deserialize')

  monkeypatch.setattr(jax2tf, 'convert', lambda *_, **__: too_new)
  with pytest.raises(ValueError, match=r'cannot read what JAX .*deserialize'):
    writing.write(program, tmp_path / 'saved_model', {})
  assert not list(tmp_path.iterdir())


def test_paths_name_kinds():
  names = ['a.onnx', 'b/saved_model', 'a.npz', 'saved_model.npz', 'other']
  assert [kind_of(name) for name in names] == [
    '.onnx',
    'saved_model',
    '',
    '',
    '',
  ]
  assert kind_of('a.onnx') in WRITERS


def test_what_onnx_runtime_cannot_multiply_is_refused(program, tmp_path):
  program = dataclasses.replace(program, kernels='dynamic_int8')
  with pytest.raises(ValueError, match='integer matrix products'):
    writing.write(program, tmp_path / 'rvm.onnx', {})
  assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures('tensorflow_reads_jax')
def test_the_log_of_the_caller_is_as_it_was(program, tmp_path):
  log = logging.getLogger('absl')
  level = log.level
  writing.write(program, tmp_path / 'saved_model', {})
  assert log.level == level
