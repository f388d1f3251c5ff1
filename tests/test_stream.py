"""Streams: the same features frame by frame, whatever runs beside."""

import json
import threading
import time
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from rvmae_jax import stream
from rvmae_jax.data.decoding import VideoError
from rvmae_jax.models import build_model
from rvmae_jax.stream import GrowingArray, Stream, open_video, run, side_by_side
from tests.data import small_videos

_TINY = {'name': 'rvm', 'variant': 'tiny', 'patch_size': 8}


@pytest.fixture(scope='module', name='network')
def _network():
  model = build_model(_TINY)
  video = np.random.default_rng(0).integers(0, 256, (2, 5, 16, 24, 3), np.uint8)
  init = jax.jit(lambda rng: model.init(rng, video, method='encode'))
  params = init(jax.random.key(0))['params']
  whole = model.apply({'params': params}, video, method='encode')
  return model, params, video, np.asarray(whole)


def test_features_are_those_of_the_whole_video(network):
  model, params, video, whole = network
  stream = Stream(model, params, (16, 24), num_streams=2)
  for _ in range(2):  # After a reset the same again.
    for number in range(5):
      np.testing.assert_allclose(
        stream(video[:, number]), whole[:, number], atol=1e-5
      )
    stream.reset()


@pytest.mark.parametrize(
  'fields',
  [
    {'name': 'classifier', 'num_classes': 3},
    {'name': 'classifier', 'num_classes': 3, 'dtype': 'bfloat16'},
    {'name': 'moco_v3', 'hidden_dim': 8, 'output_dim': 4},
  ],
  ids=['classifier', 'bfloat16', 'moco_v3'],
)
def test_of_a_network_on_a_backbone_the_backbone_streams(network, fields):
  _, params, video, _ = network
  dtype = {'dtype': fields.get('dtype', 'float32')}
  model = build_model({**_TINY, 'backbone': 'rvm', **fields})
  shapes = jax.eval_shape(
    model.init, jax.random.key(0), {'video': video, 'view2': video}
  )['params']
  loaded = {key: None for key in shapes} | {'backbone': params}
  assert jax.tree.structure(shapes['backbone']) == jax.tree.structure(params)
  stream = Stream(model, loaded, (16, 24), num_streams=2)
  alone = Stream(build_model({**_TINY, **dtype}), params, (16, 24), 2)
  for frames in video[:, :2].swapaxes(0, 1):
    np.testing.assert_array_equal(stream(frames), alone(frames))


def test_a_bfloat16_network_streams_nearer_to_float32_than_it_encodes(network):
  _, params, video, whole = network
  video, whole = video[:, :2], whole[:, :2]
  model = build_model({**_TINY, 'dtype': 'bfloat16'})
  encode = jax.jit(lambda p: model.apply({'params': p}, video, method='encode'))
  stream = Stream(model, params, (16, 24), num_streams=2)
  streamed = np.stack([stream(frames) for frames in video.swapaxes(0, 1)], 1)
  assert 0 < _distance(streamed, whole) < _distance(encode(params), whole)


def test_a_state_takes_the_memory_of_the_one_before_it(network):
  model, params, video, _ = network
  stream = Stream(model, params, (16, 24), num_streams=2)
  stream(video[:, 0])
  before = stream._state
  stream(video[:, 1])
  assert before.is_deleted()


def test_videos_of_any_length_run_side_by_side(network, tmp_path):
  model, params, video, whole = network
  lengths = 5, 3
  arrays = [GrowingArray(tmp_path / f'{n}.npy') for n in lengths]
  result = run(
    Stream(model, params, (16, 24), num_streams=2),
    [iter(row[:length]) for row, length in zip(video, lengths)],
    arrays,
  )
  for array, row, length in zip(arrays, whole, lengths):
    array.close()
    features = np.load(tmp_path / f'{length}.npy')
    np.testing.assert_allclose(features, row[:length].mean(1), atol=1e-5)
  assert result['frames'] == sum(lengths)
  assert 0 < result['p50_ms'] <= result['p95_ms']


def test_ended_videos_stand_still_and_empty_ones_are_black():
  ones = np.ones((1, 2, 2, 3), np.uint8)
  videos = [iter([*ones, *(2 * ones)]), iter(ones), iter(())]
  steps = [
    (frames[:, 0, 0, 0].tolist(), runs.tolist())
    for frames, runs in side_by_side(videos)
  ]
  assert steps == [
    ([1, 1, 0], [True, True, False]),
    ([2, 1, 0], [True, False, False]),
  ]


def test_a_growing_array_is_read_in_place(tmp_path):
  rows = np.arange(12, dtype=np.float32).reshape(4, 3)
  array = GrowingArray(tmp_path / 'rows.npy')
  for row in rows:
    array.append(row)
  array.close()
  read = np.load(tmp_path / 'rows.npy', mmap_mode='r')
  np.testing.assert_array_equal(read, rows)


def test_what_is_killed_keeps_the_rows_so_far(tmp_path):
  array = GrowingArray(tmp_path / 'rows.npy')
  for length in (1, 2):
    array.append(np.full(3, length, np.float32))
    read = np.load(tmp_path / 'rows.npy')
    assert read.tolist() == [[1, 1, 1], [2, 2, 2]][:length]


def test_frames_of_another_shape_are_refused(network):
  model, params, *_ = network
  stream = Stream(model, params, (16, 24))
  for shape in ((1, 24, 16, 3), (2, 16, 24, 3), (16, 24, 3), (1, 16, 24, 4)):
    with pytest.raises(ValueError, match=r'takes \(1, 16, 24, 3\).*resize'):
      stream(np.zeros(shape, np.uint8))


def test_frames_that_are_not_bytes_are_refused(network):
  model, params, *_ = network
  stream = Stream(model, params, (16, 24))
  with pytest.raises(ValueError, match=r'Frames are float32.* takes uint8'):
    stream(np.zeros((1, 16, 24, 3), np.float32))


def test_a_silent_camera_holds_nobody_up():
  speaks = threading.Event()

  def camera():
    yield np.zeros((2, 2, 3), np.uint8)
    speaks.wait(60)

  frames = side_by_side([camera()])
  next(frames)
  start_s = time.monotonic()
  frames.close()  # As Ctrl-C does.
  assert time.monotonic() - start_s < 30
  speaks.set()


def test_what_is_no_file_is_opened_as_a_live_source(shared_dir):
  """FFmpeg takes a file by URL too; the frames are those of the file."""
  path = shared_dir / 'data/clips_misc/ffmpegwasm/video-1s.mp4'
  live = open_video(f'file:{path}', (32, 48))
  stored = open_video(str(path), (32, 48))
  for _ in range(3):
    np.testing.assert_array_equal(next(live), next(stored))


def test_a_source_that_is_not_there_is_named():
  with pytest.raises(VideoError, match=r'file:/nowhere\.mp4.*No such file'):
    next(open_video('file:/nowhere.mp4', (32, 48)))


def test_a_network_of_clips_is_refused():
  model = build_model({'name': 'videomae', 'variant': 'tiny'})
  with pytest.raises(ValueError, match='VideoMAE carries no state'):
    Stream(model, {}, (32, 32))
  fields = {'name': 'classifier', 'backbone': 'videomae', 'variant': 'tiny'}
  model = build_model({**fields, 'num_classes': 3})
  with pytest.raises(ValueError, match='VideoMAE carries no state'):
    Stream(model, {'backbone': {}}, (32, 32))


def _distance(features, others):
  return float(jnp.sqrt(jnp.square(features - others).mean()))


def test_the_command_writes_features(network, tmp_path, monkeypatch, capsys):
  model, params, *_ = network
  data = {'crop': {'size': (16, 24)}}
  config = ConfigDict({'model': _TINY, 'data': data})
  monkeypatch.setattr(stream.weights, 'load', lambda _: (params, config))
  video = small_videos.write(
    tmp_path / 'a.mp4', 'mpeg4', 'yuv420p', numbers=range(3)
  )
  args = types.SimpleNamespace(
    checkpoint='run',
    video=[str(video)],
    size='',
    dtype=None,
    out=str(tmp_path / 'out'),
    tokens=True,
  )
  stream.main(args)
  assert json.loads(capsys.readouterr().out)['frames'] == 3
  found = np.load(tmp_path / 'out/a.npy')
  assert found.shape == (3, 7, model.width)
  args.video *= 2
  with pytest.raises(stream.app.UsageError, match='written to one file'):
    stream.main(args)
