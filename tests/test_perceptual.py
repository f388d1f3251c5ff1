import jax
import numpy as np
import pytest

from rvmae_jax import perceptual, weights
from rvmae_jax.interop import vgg
from tests.weights_file import write_videomae

VIDEOMAE = {
  'name': 'videomae',
  'variant': 'tiny',
  'width': 64,
  'encoder_heads': 1,
  'encoder_mlp_dim': 32,
  'decoder_width': 64,
  'decoder_heads': 1,
  'decoder_mlp_dim': 32,
  'patch_size': 8,
  'tubelet_size': 2,
}


@pytest.fixture(scope='module')
def video():
  rng = np.random.default_rng(0)
  return rng.integers(0, 256, (2, 4, 16, 16, 3), np.uint8)


@pytest.fixture(scope='module')
def ours(tmp_path_factory):
  """The path of a weights file, and its network with parameters."""
  path = tmp_path_factory.mktemp('ours') / 'model.safetensors'
  return str(path), write_videomae(path, VIDEOMAE)


def test_features_of_a_network_have_unit_length(ours, video):
  path, network = ours
  judge = perceptual.load_judge(path)
  features = jax.jit(judge.features)(judge.params, video)
  want = network.encode(video)
  want /= np.linalg.norm(want, axis=-1, keepdims=True)
  np.testing.assert_allclose(features, want, atol=1e-5)


def test_a_path_that_is_there_is_one_path(tmp_path):
  path = tmp_path / 'a,b'
  path.mkdir()
  assert weights.split_paths(str(path)) == [str(path)]
  assert weights.split_paths('a.pth,b.pth') == ['a.pth', 'b.pth']


def test_a_frame_is_judged_as_a_clip_that_stands_still(ours, video):
  path, network = ours
  frame = video[:, :1]
  judge = perceptual.load_judge(path)
  features = judge.features(judge.params, frame)
  want = network.encode(np.repeat(frame, 2, axis=1))
  want /= np.linalg.norm(want, axis=-1, keepdims=True)
  np.testing.assert_allclose(features, want, atol=1e-5)


def test_a_distance_is_0_only_between_equals(ours, video):
  judge = perceptual.load_judge(ours[0])
  other = np.stack([video[0], video[0]])
  found = jax.jit(judge.distance)(judge.params, video, other)
  assert found.shape == (2,)
  assert found[0] < 1e-6
  assert found[1] > 1e-3


def test_lpips_is_two_files_joined_by_a_comma(tmp_path, monkeypatch, video):
  """Its weights count: at a quarter each, distances are a quarter."""
  files = {name: tmp_path / name for name in ('vgg16.pth', 'vgg.pth')}
  for file in files.values():
    file.touch()
  arrays = {str(files['vgg16.pth']): _vgg16(), str(files['vgg.pth']): _lpips()}
  monkeypatch.setattr(weights, 'read_arrays', arrays.get)
  monkeypatch.setattr(vgg, '_WIDTHS', (8, 16, 32, 64, 64))  # An eighth.

  path = ','.join(arrays)
  judges = [perceptual.load_judge(p) for p in (path.split(',')[0], path)]
  assert len(judges[0].features(judges[0].params, video[:, :1])) == 5
  by_vgg16, by_lpips = (
    jax.jit(judge.distance)(judge.params, video[:1], video[1:])
    for judge in judges
  )
  assert by_vgg16 > 0.1
  np.testing.assert_allclose(by_lpips, by_vgg16 / 4, rtol=1e-5)


def _vgg16():
  rng = np.random.default_rng(0)
  widths = (3, 8, 8, 16, 16, 32, 32, 32, 64, 64, 64, 64, 64, 64)
  places = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
  arrays = {}
  for place, before, width in zip(places, widths, widths[1:]):
    kernel = rng.standard_normal((width, before, 3, 3), np.float32)
    # As large as keeps what passes through of one size.
    arrays[f'features.{place}.weight'] = kernel * (2 / 9 / before) ** 0.5
    arrays[f'features.{place}.bias'] = np.zeros(width, np.float32)
  return arrays


def _lpips():
  return {
    f'lin{i}.model.1.weight': np.full((1, width, 1, 1), 0.25, np.float32)
    for i, width in enumerate((8, 16, 32, 64, 64))
  }
