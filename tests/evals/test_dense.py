"""Dense features: any length, in parts, equal to those of the whole."""

import functools

import jax
import numpy as np
import pytest

from rvmae_jax.evals.dense import DenseEncoder, Standardised
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.models import build_model
from rvmae_jax.training.sharding import make_mesh

SIZE = (16, 24)
NUM_PLACES = 2 * 3
CONFIGS = {
  'rvm': {'name': 'rvm'},
  'rvmae': {'name': 'rvmae'},
  'rvm classifier': {'name': 'classifier', 'backbone': 'rvm', 'num_classes': 2},
  'rvm attention': {'name': 'rvm', 'core_kind': 'attention'},
  'videomae': {'name': 'videomae', 'tubelet_size': 2},
  'siammae': {'name': 'siammae'},
}
RECURRENT = ('rvm', 'rvmae', 'rvm classifier')


@functools.cache
def network(name):
  small = {'variant': 'tiny', 'patch_size': 8, 'encoder_blocks': 1}
  model = build_model({**CONFIGS[name], **small})
  init = functools.partial(model.init, method='encode')
  variables = jax.jit(init)(jax.random.key(0), make_video(4)[None])
  return ModelFunctions(model, variables['params'])


def make_video(num_frames):
  rng = np.random.default_rng(0)
  return rng.integers(0, 256, (num_frames, *SIZE, 3), dtype=np.uint8)


def whole(functions, video):
  """Features of a clip at once, without prefix tokens."""
  features = functions.encode(video[None])[0]
  return features[:, functions.num_prefix_tokens :]


@pytest.mark.parametrize('name', RECURRENT)
def test_a_stream_equals_the_whole_video(name):
  functions, video = network(name), make_video(11)
  parts = list(DenseEncoder(functions, chunk=4)(video))
  assert [len(part) for part in parts] == [4, 4, 3]
  streamed = np.concatenate(parts)
  assert streamed.shape == (11, NUM_PLACES, 128)
  assert streamed.dtype == np.float32
  np.testing.assert_allclose(streamed, whole(functions, video), atol=2e-5)


def test_a_reset_starts_the_video_anew():
  functions, video = network('rvm'), make_video(11)
  encoder = DenseEncoder(functions, chunk=4, reset_every=5)
  features = np.concatenate(list(encoder(video)))
  for start in (0, 5, 10):
    part = video[start : start + 5]
    np.testing.assert_allclose(
      features[start : start + 5], whole(functions, part), atol=2e-5
    )


@pytest.mark.parametrize('name', ['videomae', 'rvm attention', 'siammae'])
def test_clip_models_see_windows_side_by_side(name):
  functions, video = network(name), make_video(10)
  features = np.concatenate(list(DenseEncoder(functions, window=4)(video)))
  assert features.shape[:2] == (10, NUM_PLACES)
  last = np.concatenate([video[8:], video[[9, 9]]])
  windows = [video[:4], video[4:8], last]
  expected = np.concatenate([whole(functions, w) for w in windows])
  frames = 4 * 3 // len(expected)
  expected = expected.repeat(frames, axis=0)[:10]
  np.testing.assert_allclose(features, expected, atol=2e-5)


def test_a_recurrent_model_can_be_read_frame_by_frame():
  functions, video = network('rvm').per_frame(), make_video(5)
  np.testing.assert_allclose(
    np.concatenate(list(DenseEncoder(functions, window=3)(video))),
    whole(functions, video),
    atol=2e-5,
  )


@pytest.mark.parametrize('name', ['rvm', 'videomae'])
def test_no_more_than_a_part_is_ever_read(name):
  taken = 0

  def frames():
    nonlocal taken
    for frame in make_video(14):
      taken += 1
      yield frame

  encoder, given = DenseEncoder(network(name), window=4, chunk=4), 0
  for features in encoder(frames()):
    assert taken - given <= 4
    given += len(features)
  assert given == 14


def test_no_frames_no_features():
  assert list(DenseEncoder(network('rvm'))([])) == []
  assert list(DenseEncoder(network('videomae'))([])) == []


def test_one_compilation_serves_all_lengths():
  functions = network('rvm')
  encoder = DenseEncoder(functions, chunk=4, reset_every=6)
  list(encoder(make_video(3)))
  before = functions._encode_from._cache_size()
  list(encoder(make_video(13)))
  assert functions._encode_from._cache_size() == before


def test_a_single_video_on_a_mesh():
  one = network('rvm')
  many = ModelFunctions(one._model, one._params, make_mesh(data=8))
  video = make_video(5)
  on_one, on_many = (
    np.concatenate(list(DenseEncoder(functions, chunk=4)(video)))
    for functions in (one, many)
  )
  np.testing.assert_allclose(on_one, on_many, atol=2e-5)


@pytest.mark.parametrize(
  ('settings', 'message'),
  [
    ({'chunk': 0}, 'chunk=0'),
    ({'window': 0}, 'window=0'),
    ({'reset_every': -1}, 'reset_every=-1'),
    ({'warm_up': -1}, 'warm_up=-1'),
    ({'warm_up': 8, 'reset_every': 1}, 'warm_up=8 fills a state'),
  ],
)
def test_impossible_settings_are_refused(settings, message):
  with pytest.raises(ValueError, match=message):
    DenseEncoder(network('rvm'), **settings)


def test_a_window_that_tubelets_do_not_fill_is_named():
  with pytest.raises(ValueError, match='Tubelets of 2 frames'):
    list(DenseEncoder(network('videomae'), window=3)(make_video(3)))


class Sums:
  """A recurrent network whose one token is the sum of all frames so far."""

  is_recurrent = True
  num_prefix_tokens = 0

  def init_state(self, batch_size, height, width):
    return np.zeros(1)

  def encode_from(self, state, video):
    sums = state + video[0, :, 0, 0, 0].cumsum()
    return sums[None, :, None, None], sums[-1:]


@pytest.mark.parametrize('warm_up', range(6))
def test_a_warm_up_fills_the_state_and_gives_no_features(warm_up):
  frames = [np.full((1, 1, 1), value) for value in (1, 10, 100)]
  encoder = DenseEncoder(Sums(), chunk=2, warm_up=warm_up)
  found = np.concatenate(list(encoder(frames)))
  expected = warm_up + np.array([1, 11, 111])
  np.testing.assert_array_equal(found[:, 0, 0], expected)


@pytest.mark.parametrize('chunk', [1, 2, 3, 8])
def test_a_warm_up_does_not_count_towards_a_reset(chunk):
  frames = [np.full((1, 1, 1), 1)] * 9
  encoder = DenseEncoder(Sums(), chunk=chunk, warm_up=3, reset_every=4)
  found = np.concatenate(list(encoder(frames)))
  ages = found[:, 0, 0].tolist()
  assert ages == [4, 5, 6, 7, 1, 2, 3, 4, 1]


def test_what_videos_have_in_common_is_taken_away():
  """A clock and a place, 10 times as large as what differs."""
  rng = np.random.default_rng(0)
  common = 10 * rng.normal(size=(5, NUM_PLACES, 3))
  own = rng.normal(size=(4, 5, NUM_PLACES, 3)) * (1, 2, 0.5)
  own -= own.mean(0)

  def encode(features):
    yield features[:2]
    yield features[2:]

  encoder = Standardised(encode, own + common)
  found = np.stack([np.concatenate([*encoder(f)]) for f in own + common])
  both = (own + common).reshape(-1, 3)
  np.testing.assert_allclose(found, own / both.std(0), rtol=1e-5)
  expected = common.reshape(-1, 3).var(0).sum() / both.var(0).sum()
  assert encoder.share_in_common == pytest.approx(expected)


def test_videos_may_differ_in_length_and_features_may_stand_still():
  """Means are those of the videos that are so long."""
  videos = [np.ones((2, 1, 2)) * (1, 7), np.ones((3, 1, 2)) * (3, 7)]
  encoder = Standardised(lambda features: iter([features]), videos)
  short, long = (next(iter(encoder(video))) for video in videos)
  deviation = np.std([1, 1, 3, 3, 3])
  np.testing.assert_allclose(short[:, 0, 0], -1 / deviation, rtol=1e-6)
  np.testing.assert_allclose(long[:, 0, 0], np.array([1, 1, 0]) / deviation)
  np.testing.assert_array_equal(long[..., 1], 0)
