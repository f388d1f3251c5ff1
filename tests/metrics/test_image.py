"""PSNR and SSIM against numbers worked by hand and by scikit-image."""

import numpy as np
import pytest

from rvmae_jax.metrics.image import psnr, ssim, ssim_map


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


# Made by skimage.metrics.structural_similarity of scikit-image 0.26 with
# channel_axis=-1, gaussian_weights=True, sigma=1.5, data_range=1,
# use_sample_covariance=False, full=True: mean, map at (0, 0) and (12, 7).
@pytest.mark.parametrize(
  ('name', 'mean', 'corner', 'inside'),
  [
    ('ringing', 0.71880138, 0.88029685, 0.79172991),
    ('dimmed', 0.64615954, 0.65830130, 0.64344229),
    ('flat', 0.03350005, 0.11933914, 0.02425115),
  ],
)
def test_ssim_equals_scikit_image(name, mean, corner, inside):
  pictures = _pictures()
  similarity = ssim_map(pictures['true'], pictures[name])
  assert ssim(pictures['true'], pictures[name]) == pytest.approx(mean, abs=1e-7)
  assert similarity[0, 0] == pytest.approx(corner, abs=1e-7)
  assert similarity[12, 7] == pytest.approx(inside, abs=1e-7)


def test_ssim_of_equal_pictures_is_one_for_each_of_a_batch():
  batch = np.stack([_pictures()['true'], _pictures()['ringing']])
  np.testing.assert_allclose(ssim(batch, batch), [1, 1], atol=1e-12)


def test_ssim_names_a_picture_that_is_too_small():
  with pytest.raises(ValueError, match='11x11 pixels; got 8x20'):
    ssim(np.zeros((8, 20, 3)), np.zeros((8, 20, 3)))
