"""Features of long videos: what a step is, and when."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from rvmae_jax.data.localization.untrimmed import UntrimmedVideo
from rvmae_jax.evals.features import make_encoder
from rvmae_jax.evals.untrimmed_features import step_edges_s, step_reader


@dataclasses.dataclass
class Brightness:
  """A network whose two tokens are the mean colour and its negative."""

  sign: int = 1
  is_recurrent = False
  num_prefix_tokens = 0

  def encode(self, video):
    colour = self.sign * video.mean((2, 3), dtype=np.float32)
    return np.stack([colour, colour + 2], axis=2)

  def untrained(self, video, seed):
    return Brightness(-self.sign)

  def per_frame(self):
    return self


@pytest.fixture
def video(tmp_path):
  """Five images, each brighter by 10 than the one before."""
  for number in range(5):
    frame = np.full((8, 8, 3), 10 * number, np.uint8)
    Image.fromarray(frame).save(tmp_path / f'{number}.png')
  return UntrimmedVideo('five', [str(tmp_path)], np.zeros((0, 2)), np.zeros(0))


def _read(video, encoders=('trained',), **settings):
  made = {name: make_encoder(name, Brightness(), None) for name in encoders}
  return step_reader(made, (8, 8), **settings)(video)


def test_a_step_is_the_mean_of_its_frames_and_tokens(video):
  features = _read(video, frames_per_step=2)['trained']
  # Frames 0 and 10, 20 and 30, 40; the tokens differ by 2.
  np.testing.assert_allclose(features[:, 0], [6, 26, 41])
  edges_s = step_edges_s(video, frames_per_step=2)
  np.testing.assert_allclose(edges_s, np.array([0, 2, 4, 5]) / 30)


def test_frames_between_are_passed_over(video):
  steps = {'frames_per_step': 2, 'fps': 15}
  features = _read(video, **steps)['trained']
  np.testing.assert_allclose(features[:, 0], [11, 41])
  edges_s = step_edges_s(video, **steps)
  np.testing.assert_allclose(edges_s, np.array([0, 4, 5]) / 30)


def test_encoders_go_side_by_side(video):
  encoders = ('trained', 'random', 'per_frame', 'pixels')
  features = _read(video, encoders, frames_per_step=1, window=2)
  assert list(features) == list(encoders)
  expected = 10 * np.arange(5)
  np.testing.assert_allclose(features['trained'][:, 0], expected + 1)
  np.testing.assert_allclose(features['random'][:, 0], 1 - expected)
  # Every pixel of the small frames, in [0, 1].
  assert features['pixels'].shape == (5, 8 * 8 * 3)
  np.testing.assert_allclose(
    features['pixels'][:, 0] * 255, expected, rtol=1e-6
  )
