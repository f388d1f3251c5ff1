"""Artifacts run where neither this library nor Flax is, over a real video."""

import itertools
import json
import subprocess
import sys

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from rvmae_jax.artifacts.program import build_program
from rvmae_jax.artifacts.writing import write
from rvmae_jax.data.frames import read_frames
from rvmae_jax.layers.transformer import stack_blocks
from rvmae_jax.models import build_model
from rvmae_jax.tools import check_artifact
from rvmae_jax.tools.artifacts import run_alone
from rvmae_jax.tools.check_artifact import ask_artifact, ask_network

FIELDS = {
  'name': 'rvm',
  'variant': 'tiny',
  'width': 32,
  'encoder_blocks': 1,
  'patch_size': 8,
}
SIZE = 16, 24
# What runs them is no part of the test extra.
RUNTIMES = {
  '.onnx': ('jax2onnx', 'onnxruntime'),
  '.tflite': ('ai_edge_litert',),
}


@pytest.fixture(name='frames', scope='module')
def _frames(shared_dir):
  video = shared_dir / 'data/clips_misc/mmaction2/demo.mp4'
  return np.stack(list(itertools.islice(read_frames(video, SIZE), 200)))


@pytest.fixture(name='network', scope='module')
def _network():
  model = build_model(FIELDS)
  video = np.zeros((1, 1, *SIZE, 3), np.uint8)
  init = jax.jit(lambda key: model.init(key, video, method='encode'))
  return model, init(jax.random.key(0))['params']


@pytest.fixture(name='streamed', scope='module')
def _streamed(network, frames):
  return ask_network(*network, 'step', frames)


def _write(network, out, function='step', kernels='float32'):
  program = build_program(
    FIELDS, network[1], function, size=SIZE, num_frames=8, kernels=kernels
  )
  facts = {'size': SIZE, 'num_frames': 8, 'kernels': kernels}
  return write(program, out, facts)


@pytest.mark.parametrize(
  'name', ['rvm.stablehlo', 'saved_model', 'rvm.onnx', 'rvm.tflite']
)
def test_a_step_equals_the_stream_after_200_frames(
  network, frames, streamed, tmp_path, name, request
):
  if name in ('saved_model', 'rvm.tflite'):
    request.getfixturevalue('tensorflow_reads_jax')
  for package in RUNTIMES.get((tmp_path / name).suffix, ()):
    pytest.importorskip(package)
  note = _write(network, tmp_path / name)
  answer = ask_artifact(tmp_path / name, frames)
  assert {*note['outputs']} == {*answer.outputs} == {'next_state', 'features'}
  assert answer.distance(streamed) <= 1e-5
  assert answer.outputs['features'].shape == (1, 7, 32)
  assert np.abs(answer.outputs['features']).max() > 0.1
  assert 0 < answer.wall_ms < 1e4
  json.dumps(note)


def test_batch_and_time_of_an_onnx_encode_are_free(network, frames, tmp_path):
  for package in RUNTIMES['.onnx']:
    pytest.importorskip(package)
  note = _write(network, tmp_path / 'rvm.onnx', 'encode')
  call = run_alone.onnx(str(tmp_path / 'rvm.onnx'), note)
  model, params = network
  apply = jax.jit(lambda p, v: model.apply({'params': p}, v, method='encode'))
  for clips in (frames[None, :3], frames[:4].reshape(2, 2, *SIZE, 3)):
    np.testing.assert_allclose(
      call({'video': clips})['features'], apply(params, clips), atol=1e-5
    )


def test_a_network_of_scanned_layers_is_compared_quantised(
  network, shared_dir, tmp_path, monkeypatch, capsys
):
  pytest.importorskip('qwix', reason='needs the extra [quant]')
  _write(network, tmp_path / 'rvm.stablehlo', kernels='int8')
  config = ConfigDict({'model': FIELDS | {'scan_layers': True}})
  scanned = stack_blocks(network[1]), config
  monkeypatch.setattr(check_artifact.weights, 'load', lambda *_, **__: scanned)
  video = shared_dir / 'data/clips_misc/mmaction2/demo.mp4'
  arguments = ['--checkpoint=run', f'--video={video}']
  arguments += [f'--artifact={tmp_path}/rvm.stablehlo']
  check_artifact.main([*arguments, '--frames=3'])
  assert 'kernels: int8' in capsys.readouterr().out
  with pytest.raises(SystemExit):
    check_artifact.main([*arguments, '--frames=1'])
  assert '--frames=1: 2 at least' in capsys.readouterr().err
  (tmp_path / 'rvm.stablehlo.json').unlink()
  with pytest.raises(SystemExit):
    check_artifact.main(arguments)
  assert 'no rvm.stablehlo.json beside it' in capsys.readouterr().err


def test_what_does_not_run_says_why(frames, tmp_path):
  (tmp_path / 'rvm.stablehlo').write_bytes(b'nothing of the kind')
  (tmp_path / 'rvm.stablehlo.json').write_text('{"function": "step"}')
  with pytest.raises(RuntimeError, match=r'rvm\.stablehlo does not run'):
    ask_artifact(tmp_path / 'rvm.stablehlo', frames[:2])


def test_this_library_and_flax_cannot_be_imported_there():
  code = (
    f'import runpy; run = runpy.run_path({run_alone.__file__!r})\n'
    'try: run["main"]("no/artifact", "no.npy", "out")\n'
    'except OSError: pass\n'
    'for name in ("rvmae_jax", "flax"):\n'
    '  try: __import__(name)\n'
    '  except ImportError: continue\n'
    '  raise SystemExit(name)\n'
  )
  done = subprocess.run([sys.executable, '-c', code], check=False)
  assert done.returncode == 0
