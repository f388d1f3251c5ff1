import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvmae_jax.losses import LOSSES, pixel


def test_l2_by_hand():
  pred = jnp.array([[1.0, 2.0], [0.0, 0.0]])
  target = jnp.array([[0.0, 0.0], [3.0, 1.0]])
  np.testing.assert_allclose(LOSSES.get('pixel_l2')(pred, target), [2.5, 5.0])


def test_l1_and_huber_by_hand():
  """Errors 0.06 and 0.4; beyond 0.1 Huber's loss is 0.1 * (error - 0.05)."""
  pred, target = jnp.array([[0.06, 0.0]]), jnp.array([[0.0, 0.4]])
  np.testing.assert_allclose(LOSSES.get('pixel_l1')(pred, target), [0.23])
  want = (0.5 * 0.06**2 + 0.1 * 0.35) / 2
  np.testing.assert_allclose(
    LOSSES.get('pixel_huber')(pred, target), [want], rtol=1e-6
  )


def test_masked_mean_by_hand():
  values = jnp.array([[1.0, 2.0, 3.0, 4.0]])
  assert pixel.masked_mean(values, None) == 2.5
  assert pixel.masked_mean(values, jnp.array([[0, 1, 0, 1]])) == 3.0


def test_patch_normalisation_is_unbiased():
  patches = jax.random.uniform(jax.random.key(0), (2, 3, 4 * 3))
  shift, scale = pixel.patch_statistics(patches, 'patch')
  normalized = (patches - shift) / scale
  np.testing.assert_allclose(normalized.mean(-1), 0, atol=1e-6)
  np.testing.assert_allclose(normalized.var(-1, ddof=1), 1, rtol=1e-4)


def test_channel_normalisation_is_unbiased_per_colour():
  # Red 0 1, green 2 4, blue 5 5: unbiased std sqrt(1/2), sqrt(2), 0.
  patches = jnp.array([[0.0, 2.0, 5.0, 1.0, 4.0, 5.0]])
  shift, scale = pixel.patch_statistics(patches, 'channel')
  np.testing.assert_allclose(shift[0], [0.5, 3, 5] * 2)
  want = np.array([0.5**0.5, 2**0.5, 0]) + 1e-6
  np.testing.assert_allclose(scale[0], np.tile(want, 2), rtol=1e-6)


def test_unknown_normalisation():
  with pytest.raises(ValueError, match="Unknown patch normalisation 'zscore'"):
    pixel.patch_statistics(jnp.zeros((1, 12)), 'zscore')
