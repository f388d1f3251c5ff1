"""Poolings worked by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from rvmae_jax.evals.pooling import Pooling, pool


def _ramp(num_frames: int = 10):
  """Features [1, T, 2, 1]: tokens t and t + 2 at frame t."""
  t = jnp.arange(num_frames, dtype=jnp.float32)
  return jnp.stack([t, t + 2], axis=-1)[None, :, :, None]


def test_poolings_of_a_ramp():
  names = 'mean', 'mean_2', 'mean_std_8', 'mean_std', 'change_3'
  found = {k: np.asarray(v)[0] for k, v in pool(_ramp(), names).items()}
  np.testing.assert_allclose(found['mean'], [5.5])
  np.testing.assert_allclose(found['mean_2'], [9.5])
  # Token means of the last 8 frames: 3 to 10; of all: 1 to 10.
  np.testing.assert_allclose(
    found['mean_std_8'], [6.5, np.sqrt(5.25)], rtol=1e-6
  )
  np.testing.assert_allclose(found['mean_std'], [5.5, np.sqrt(8.25)], rtol=1e-6)
  np.testing.assert_allclose(found['change_3'], [3])


@pytest.mark.parametrize('name', ['mean', 'mean_4', 'mean_std_8', 'change_4'])
def test_a_span_is_the_same_time_whatever_the_tubelet(name):
  """A network of tubelets whose token is the mean of two frames."""
  frames = _ramp(16)
  tubelets = frames.reshape(1, 8, 2, 2, 1).mean(2)
  pooling = Pooling.named(name)
  of_frames, of_tubelets = pooling(frames), pooling(tubelets, 2)
  # Means are equal; a deviation is that of eight frames, or of their pairs.
  np.testing.assert_allclose(of_frames[:, 0], of_tubelets[:, 0], rtol=1e-6)
  for size in (1, 2):
    text = pooling.describe(16, size)
    assert f'grid tokens of {size} frame' in text
    assert {
      'mean': 'frames 0 to 15',
      'mean_4': 'frames 12 to 15',
      'mean_std_8': 'frames 8 to 15',
      'change_4': '4 frames apart',
    }[name] in text


@pytest.mark.parametrize(
  ('name', 'num_frames', 'tubelet_size', 'is_right'),
  [
    ('mean', 1, 1, True),
    ('mean_std_8', 8, 2, True),
    ('mean_std_8', 7, 1, False),
    ('mean_3', 8, 2, False),
    ('change_2', 3, 1, True),
    ('change_2', 2, 1, False),
    ('change_2', 2, 2, False),
  ],
)
def test_spans_that_no_clip_has_are_refused(
  name, num_frames, tubelet_size, is_right
):
  if is_right:
    Pooling.named(name).check(num_frames, tubelet_size)
    return
  with pytest.raises(ValueError, match=f'not fit clips of {num_frames} frames'):
    Pooling.named(name).check(num_frames, tubelet_size)


@pytest.mark.parametrize('name', ['change', 'mean_0', 'last_state', 'std_8'])
def test_unknown_names_are_answered(name):
  with pytest.raises(ValueError, match=f"Unknown pooling '{name}'"):
    Pooling.named(name)
