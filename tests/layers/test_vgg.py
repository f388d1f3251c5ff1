import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvmae_jax.layers.vgg import STAGES, Vgg16, perceptual_layers, vgg16_layers


def tiny():
  """One channel; every kernel takes the pixel itself, and the red one first."""
  kernels = [np.zeros((3, 3, 3 if i == 0 else 1, 1)) for i in range(13)]
  for kernel in kernels:
    kernel[1, 1, 0, 0] = 1
  return Vgg16(
    tuple(kernel.astype(np.float32) for kernel in kernels),
    (np.zeros(1, np.float32),) * 13,
    (np.ones(1, np.float32),) * 5,
  )


def test_pixels_are_normalised_rectified_and_pooled():
  image = np.zeros((2, 17, 16, 3), np.uint8)
  image[1, 5, 6] = 255
  layers = jax.jit(vgg16_layers)(tiny(), image)
  assert [layer.shape for layer in layers] == [
    *((2, 17, 16, 1), (2, 8, 8, 1), (2, 4, 4, 1), (2, 2, 2, 1), (2, 1, 1, 1))
  ]
  white = (1 - 0.485) / 0.229
  for stage, layer in enumerate(layers):
    want = np.zeros_like(layer)
    want[1, 5 >> stage, 6 >> stage] = white
    np.testing.assert_allclose(layer, want, rtol=1e-6)


def test_a_kernel_reads_its_neighbours():
  network = tiny()
  right = np.zeros_like(network.kernels[0])
  right[1, 2, 2] = 1  # The pixel to the right, blue.
  network = network._replace(kernels=(right, *network.kernels[1:]))
  image = np.zeros((16, 16, 3), np.uint8)
  image[3, 7, 2] = 255
  first = vgg16_layers(network, image)[0]
  assert first[3, 6, 0] == pytest.approx((1 - 0.406) / 0.225)
  assert first[:, -1].max() == 0  # Beyond the edge there is nothing.


def test_layers_have_unit_length_times_the_roots_of_heads():
  rng = np.random.default_rng(0)
  widths = (3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2)
  kernels = tuple(
    rng.standard_normal((3, 3, *pair), np.float32)
    for pair in itertools.pairwise(widths)
  )
  heads = tuple(np.full(2, head, np.float32) for head in (0.25, 1, 4, 9, 16))
  network = Vgg16(kernels, (np.ones(2, np.float32),) * 13, heads)
  video = rng.random((1, 2, 16, 16, 3), np.float32)
  layers = jax.jit(perceptual_layers)(network, video)
  assert sum(STAGES) == len(kernels)
  for layer, head in zip(layers, heads):
    assert layer.shape[:2] == (1, 2)
    lengths = jnp.linalg.norm(layer, axis=-1)
    is_there = lengths > 0  # Some places have nothing above 0.
    assert is_there.any()
    np.testing.assert_allclose(lengths[is_there], head[0] ** 0.5, rtol=1e-5)


def test_small_images_are_refused():
  with pytest.raises(ValueError, match='16x16 pixels or more, not 8x16'):
    vgg16_layers(tiny(), np.zeros((8, 16, 3), np.uint8))
