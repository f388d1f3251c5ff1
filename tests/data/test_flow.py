"""Flow of synthetic scenes, whose motion is known."""

import sys

import numpy as np
import pytest
from PIL import Image

from rvmae_jax.data import flow
from rvmae_jax.data.augmentation.geometry import Crop
from rvmae_jax.data.flow import ClipFlow, flow_to_middle, resized_grey
from rvmae_jax.data.loader import make_loader
from rvmae_jax.masking.motion_guided import warp_from_middle

pytest.importorskip('cv2', reason='the extra [flow] is not installed')


def _panned_video(velocity, num_frames=7, size=(128, 160)):
  """[T,H,W,3]: a texture that moves by `velocity` (right, down) a frame."""
  height, width = size
  coarse = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
  margin = 80
  texture = np.asarray(
    Image.fromarray(coarse).resize(
      (width + 2 * margin, height + 2 * margin), Image.BICUBIC
    )
  )
  right, down = velocity
  return np.stack([
    texture[
      margin - down * t : margin - down * t + height,
      margin - right * t : margin - right * t + width,
    ]
    for t in range(num_frames)
  ])  # fmt: skip


def _inside(flow, margin=24):
  """The median vector of each frame, edges left out."""
  return np.median(flow[:, margin:-margin, margin:-margin], axis=(1, 2))


@pytest.mark.parametrize('name', flow.FLOWS.names())
def test_frames_flow_to_the_middle_from_both_sides(name):
  grey = _panned_video((3, -2))[..., 0]
  vectors = flow_to_middle(grey, flow.FLOWS.get(name))
  assert vectors.shape == (7, 128, 160, 2)
  assert (vectors[3] == 0).all()
  # The next frame shows a thing 3 to the right of here, the last to the left.
  np.testing.assert_allclose(_inside(vectors[:3]), [[3, -2]] * 3, atol=0.2)
  np.testing.assert_allclose(_inside(vectors[4:]), [[-3, 2]] * 3, atol=0.2)


def test_frames_flow_to_the_one_before_and_back():
  to_before, back = flow.flow_between(
    _panned_video((3, -2), num_frames=3, size=(256, 320)), 'farneback'
  )
  assert to_before.shape == back.shape == (2, 256, 320, 2)
  np.testing.assert_allclose(_inside(to_before), [[-3, 2]] * 2, atol=0.3)
  np.testing.assert_allclose(_inside(back), [[3, -2]] * 2, atol=0.3)


@pytest.mark.parametrize('is_flipped', [False, True])
def test_flow_is_cropped_scaled_and_flipped_with_the_frames(is_flipped):
  frames = _panned_video((3, -2), size=(256, 320))
  # Half as wide and a third as high: so are the vectors.
  crop = Crop((48, 96), (60.0, 50.0, 252.0, 194.0), is_flipped)
  vectors = ClipFlow('dense_inverse_search')(frames, crop)
  assert vectors.shape == (7, 48, 96, 2)
  right = -1.5 if is_flipped else 1.5
  np.testing.assert_allclose(
    _inside(vectors[:3], margin=8), [[right, -2 / 3]] * 3, atol=0.15
  )


def test_flow_moves_with_what_moves():
  """Only a square moves; the flow of its mirror image is the mirrored flow."""
  frames = _panned_video((0, 0), size=(128, 224)).copy()
  square = _panned_video((0, 0), size=(48, 48))[0, ::-1]
  for t, frame in enumerate(frames):
    frame[40:88, 50 + 4 * t : 98 + 4 * t] = square
  box = (0.0, 0.0, 224.0, 128.0)
  estimate = ClipFlow('dense_inverse_search')
  vectors = estimate(frames, Crop((128, 224), box))
  assert np.median(vectors[0, 48:80, 58:90, 0]) == pytest.approx(4, abs=0.3)
  assert np.median(np.abs(vectors[0, 48:80, 150:210])) < 0.1
  flipped = estimate(frames, Crop((128, 224), box, flip=True))
  np.testing.assert_array_equal(flipped, vectors[:, :, ::-1] * [-1, 1])


@pytest.mark.parametrize('size', [(1, 1), (8, 12), (480, 854), (20, 900)])
def test_frames_of_any_size_work(size):
  frames = np.random.default_rng(0).integers(0, 256, (3, *size, 3), np.uint8)
  height, width = resized_grey(frames).shape[1:]
  assert min(height, width) >= 32
  for name in flow.FLOWS.names():
    crop = Crop((16, 32), (0.0, 0.0, float(size[1]), float(size[0])))
    vectors = ClipFlow(name)(frames, crop)
    assert vectors.shape == (3, 16, 32, 2)
    assert np.isfinite(vectors).all()


def test_masks_of_loaded_clips_follow_the_flow():
  frames = _panned_video((4, 0), num_frames=16, size=(112, 112))
  config = {
    'clip': {'name': 'uniform', 'num_frames': 16, 'stride': 1},
    'crop': {'size': (112, 112), 'area': (1, 1), 'ratio': (1, 1), 'flip': True},
    'augment': {},
    'augment_view2': {},
    'mask': {'name': 'motion_guided', 'ratio': 0.9},
    'repeats': 8,
  }
  loader = make_loader(config, patch_size=8, tubelet_size=2, train=True)
  record = {'path': 'panned', 'frames': frames}
  rows = loader(record, np.random.default_rng(0))
  assert 'flow' not in rows
  directions = set()
  for video, ids_keep in zip(rows['video'], rows['ids_keep']):
    shown = np.zeros((8, 14, 14), bool)
    shown.reshape(-1)[ids_keep] = True
    is_flipped = (video[0] != frames[0]).any()
    shift = -2 if is_flipped else 2  # columns in two slots
    common = shown[6] & np.roll(shown[4], shift, axis=1)
    # The columns at both edges hold what the flow cannot see.
    assert common[:, 2:-2].sum() / shown[6, :, 2:-2].sum() > 0.7
    directions.add(is_flipped)
  assert directions == {False, True}


@pytest.mark.parametrize('name', ['blackswan', 'car-shadow', 'horsejump-high'])
def test_flow_explains_how_real_videos_move(shared_dir, name):
  paths = sorted(
    (shared_dir / f'data/davis16/JPEGImages/480p/{name}').iterdir()
  )
  frames = np.stack([np.asarray(Image.open(path)) for path in paths[:16]])
  crop = Crop((112, 112), (187.0, 0.0, 667.0, 480.0))
  grey = crop.move_frames(frames).mean(-1, dtype=np.float32) + 1
  vectors = ClipFlow('dense_inverse_search')(frames, crop)

  def error(maps):
    return np.square(maps - grey).mean()

  still = error(grey[8])
  # All frames, made of the middle one: 4 to 5 dB better than the middle one
  # itself, and worse with the flow reversed.
  assert error(warp_from_middle(grey[8], vectors)) < 0.5 * still
  assert error(warp_from_middle(grey[8], -vectors)) > still


def test_missing_opencv_is_told_before_data_is_read(monkeypatch):
  monkeypatch.setitem(sys.modules, 'cv2', None)
  with pytest.raises(ImportError, match=r'pip install "rvmae_jax\[flow\]"'):
    ClipFlow('farneback')


def test_an_unknown_estimator_is_answered_with_the_known_ones():
  with pytest.raises(ValueError, match='Known: dense_inverse_search, farneb'):
    ClipFlow('raft')
