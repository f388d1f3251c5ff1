"""PSNR and SSIM against numbers worked by hand, and against scikit-image."""

import numpy as np
import pytest
import skimage.metrics

from rvmae_jax.metrics.image import interior_mean, psnr, ssim_map


def _pictures() -> dict[str, np.ndarray]:
  y, x = np.mgrid[0:24, 0:20]
  waves = [np.sin(x * 0.5 + y * 0.2), np.cos(x * 0.3), np.sin(y * 0.7)]
  true = np.stack(waves, -1) * 0.4 + 0.5
  return {
    'true': true,
    'ringing': np.clip(true + 0.2 * np.cos(x * y * 0.1)[..., None], 0, 1),
    'dimmed': 0.5 * true,
    'flat': np.full_like(true, true.mean()),
  }


def test_psnr_of_worked_errors():
  assert psnr(0.01) == pytest.approx(20)
  assert psnr(0.25) == pytest.approx(6.0206, abs=1e-4)
  assert psnr(0.0) == np.inf


@pytest.mark.parametrize('name', ['ringing', 'dimmed', 'flat'])
def test_psnr_and_ssim_equal_scikit_image(name):
  true, other = _pictures()['true'], _pictures()[name]
  error = np.square(true - other).mean()
  expected = skimage.metrics.peak_signal_noise_ratio(true, other, data_range=1)
  assert psnr(error) == pytest.approx(expected, rel=1e-12)
  mean, similarity = skimage.metrics.structural_similarity(
    true,
    other,
    channel_axis=-1,
    gaussian_weights=True,
    sigma=1.5,
    data_range=1,
    use_sample_covariance=False,
    full=True,
  )
  assert interior_mean(ssim_map(true, other)) == pytest.approx(mean, rel=1e-12)
  np.testing.assert_allclose(
    ssim_map(true, other), similarity.mean(-1), atol=1e-12
  )


def test_ssim_of_equal_pictures_is_one_for_each_of_a_batch():
  batch = np.stack([_pictures()['true'], _pictures()['ringing']])
  np.testing.assert_allclose(
    interior_mean(ssim_map(batch, batch)), [1, 1], atol=1e-12
  )


def test_ssim_names_a_picture_that_is_too_small():
  with pytest.raises(ValueError, match='11x11 pixels; got 8x20'):
    interior_mean(np.zeros((8, 20)))
