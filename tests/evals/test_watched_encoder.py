"""What is noted while a long video is read, and that memory stays flat."""

import functools

import jax
import numpy as np
import pytest

from rvmae_jax.evals.dense import DenseEncoder
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.watched_encoder import WatchedEncoder
from rvmae_jax.models import build_model


class Sum:
  """A recurrent network whose state is the sum of all brightness so far."""

  is_recurrent = True
  num_prefix_tokens = 1

  def init_state(self, batch_size, height, width):
    return np.zeros((batch_size, 2, 1), np.float32)

  def encode_from(self, state, video):
    # CLS and one place, both the sum.
    sums = video.mean((2, 3, 4))[:, :, None, None] * np.ones((1, 1, 2, 1))
    features = state[:, None] + sums.cumsum(1)
    return features, features[:, -1]


def _frames(count):
  """Brightness 0, 1, 2 and so on."""
  return (np.full((8, 8, 3), number, np.uint8) for number in range(count))


@pytest.mark.parametrize('chunk', [1, 4, 8])
def test_features_at_lengths_and_of_a_fresh_run_to_the_same_frame(chunk):
  encoder = DenseEncoder(Sum(), chunk=chunk)
  watch = WatchedEncoder(encoder, (2, 5, 9), encoder, context=3)
  handed_on = np.concatenate(list(watch(_frames(10))))
  np.testing.assert_allclose(handed_on[:, 0, 0], np.arange(10).cumsum())
  # After 2, 5 and 9 frames; of the last three of them, or as many as there are.
  assert [float(f[0, 0]) for f in watch.features] == [0 + 1, 10, 36]
  assert [float(f[0, 0]) for f in watch.fresh] == [0 + 1, 2 + 3 + 4, 6 + 7 + 8]


def test_the_fresh_run_need_not_be_as_the_long_one():
  resetting = DenseEncoder(Sum(), reset_every=2)
  watch = WatchedEncoder(resetting, (5,), DenseEncoder(Sum()), context=3)
  list(watch(_frames(5)))
  assert watch.features[0].item() == 4 and watch.fresh[0].item() == 9


def test_memory_does_not_grow_with_the_length():
  model = build_model(
    {'name': 'rvm', 'variant': 'tiny', 'patch_size': 8, 'encoder_blocks': 1}
  )
  frame = np.zeros((32, 48, 3), np.uint8)
  init = functools.partial(model.init, method='encode')
  params = jax.jit(init)(jax.random.key(0), frame[None, None])['params']
  encoder = DenseEncoder(ModelFunctions(model, params))
  watch = WatchedEncoder(encoder, (16, 64, 256), encoder, context=8)
  frames = (frame.copy() for _ in range(256))
  for _ in watch(frames):
    pass
  # The frames from 64 on would take 0.8 MiB, their features 2.3.
  assert 0 < max(watch.live_mib) < min(watch.live_mib) + 0.5
  assert watch.resident_mib[2] - watch.resident_mib[1] < 2
