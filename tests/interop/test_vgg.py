import numpy as np
import pytest

from rvmae_jax.interop import vgg

PLACES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
WIDTHS = (3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)


@pytest.fixture(scope='module')
def torchvision():
  """Zeros in place of weights, as torchvision names and shapes them."""
  arrays = {'classifier.0.weight': np.zeros((8, 8))}
  for place, width, before in zip(PLACES, WIDTHS[1:], WIDTHS):
    # Take no memory.
    arrays[f'features.{place}.weight'] = np.broadcast_to(
      np.float32(place), (width, before, 3, 3)
    )
    arrays[f'features.{place}.bias'] = np.full(width, place, np.float32)
  return arrays


def lpips(value=1.0):
  return {
    f'lin{i}.model.1.weight': np.full((1, width, 1, 1), value, np.float32)
    for i, width in enumerate((64, 128, 256, 512, 512))
  }


def test_convolutions_come_in_order(torchvision):
  kernel = np.zeros((64, 3, 3, 3), np.float32)
  kernel[5, 2, 0, 1] = 1
  assert vgg.is_vgg16(torchvision)
  network = vgg.from_arrays({**torchvision, 'features.0.weight': kernel})
  assert network.kernels[0][0, 1, 2, 5] == network.kernels[0].sum() == 1
  assert [kernel[0, 0, 0, 0] for kernel in network.kernels[1:]] == [*PLACES[1:]]
  assert [bias[0] for bias in network.biases] == [*PLACES]
  assert [head.sum() for head in network.heads] == [64, 128, 256, 512, 512]


def test_heads_are_those_of_lpips(torchvision):
  network = vgg.from_arrays(torchvision | lpips(0.25))
  assert [head.sum() for head in network.heads] == [16, 32, 64, 128, 128]


def test_a_whole_network_of_lpips_is_the_same(torchvision):
  stages = np.repeat(np.arange(1, 6), (2, 2, 3, 3, 3))
  whole = lpips() | {
    f'net.slice{stage}.{place}.{leaf}': torchvision[f'features.{place}.{leaf}']
    for place, stage in zip(PLACES, stages)
    for leaf in ('weight', 'bias')
  }
  assert vgg.is_vgg16(whole)
  network = vgg.from_arrays(whole)
  assert [bias[0] for bias in network.biases] == [*PLACES]


@pytest.mark.parametrize(
  ('arrays', 'message'),
  [
    (lpips(), r'features\.0\.weight of VGG16 is .* here it is not there'),
    ({'features.0.weight': np.zeros((64, 3, 11, 11))}, r'\(64, 3, 11, 11\)'),
  ],
)
def test_what_is_not_vgg16_is_answered(arrays, message):
  assert vgg.is_vgg16(arrays)
  with pytest.raises(ValueError, match=message):
    vgg.from_arrays(arrays)


def test_negative_weights_are_refused(torchvision):
  with pytest.raises(ValueError, match='these have -1'):
    vgg.from_arrays(torchvision | lpips(-1.0))


def test_other_files_are_not_taken_for_it():
  assert not vgg.is_vgg16({'encoder.layer.0.weight': np.zeros(1)})
