import numpy as np
import pytest
from PIL import Image

from rvmae_jax.data.augmentation.geometry import Crop, centre_box, resize


def _noise(*shape: int) -> np.ndarray:
  return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def test_resize_is_pillows_antialiased_bicubic():
  frames = _noise(1, 30, 50, 3)
  box = (3.25, 1.5, 41.0, 28.75)
  expected = Image.fromarray(frames[0]).resize((10, 8), Image.BICUBIC, box)
  np.testing.assert_array_equal(resize(frames, (8, 10), box)[0], expected)


def test_shrinking_does_not_alias():
  # A checkerboard of single pixels is grey when seen from afar.
  board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
  frames = np.repeat(board[None, ..., None], 3, axis=-1)
  result = resize(frames, (8, 8), (0, 0, 64, 64))
  assert np.abs(result.astype(int) - 127.5).max() < 3


def test_a_whole_frame_of_the_right_size_is_left_as_it_is():
  frames = _noise(2, 16, 24, 3)
  assert resize(frames, (16, 24), (0, 0, 24, 16)) is frames


def test_centre_boxes():
  assert centre_box(40, 80, 1.0) == (20, 0, 60, 40)
  assert centre_box(40, 80, 4.0) == (0, 10, 80, 30)


def test_a_crop_cuts_then_mirrors():
  # The box is as large as the result: pixels are copied.
  frames = _noise(2, 10, 12, 3)
  crop = Crop(size=(4, 6), box=(3, 5, 9, 9))
  np.testing.assert_array_equal(crop.move_frames(frames), frames[:, 5:9, 3:9])
  mirrored = Crop(crop.size, crop.box, flip=True).move_frames(frames)
  np.testing.assert_array_equal(mirrored, frames[:, 5:9, 8:2:-1])


def test_flow_is_scaled_with_the_box_and_mirrored():
  # 20 x 10 pixels of a box become 40 x 40: twice as wide, four times as high.
  flow = np.full((2, 30, 50, 2), (3.0, -1.0))
  crop = Crop(size=(40, 40), box=(5, 5, 25, 15))
  moved = crop.move_flow(flow)
  assert (moved.shape, moved.dtype) == ((2, 40, 40, 2), np.float32)
  np.testing.assert_allclose(moved, np.full(moved.shape, (6.0, -4.0)))
  mirrored = Crop(crop.size, crop.box, flip=True).move_flow(flow)
  np.testing.assert_allclose(mirrored, np.full(moved.shape, (-6.0, -4.0)))


@pytest.mark.parametrize('flip', [False, True])
def test_flow_still_leads_to_the_object_after_a_crop(flip):
  # A white square goes 6 right and 4 down from one frame to the next.
  frames = np.zeros((2, 60, 80, 3), np.uint8)
  frames[0, 20:30, 30:40] = 255
  frames[1, 24:34, 36:46] = 255
  flow = np.zeros((1, 60, 80, 2))
  flow[0, 20:30, 30:40] = 6, 4
  crop = Crop(size=(64, 64), box=(16, 8, 64, 40), flip=flip)
  moved = crop.move_frames(frames)[..., 0] > 127
  places = [np.argwhere(frame).mean(axis=0) for frame in moved]  # (y, x)
  middle = tuple(places[0].astype(int))
  dx, dy = crop.move_flow(flow)[0][middle]
  np.testing.assert_allclose(places[1] - places[0], (dy, dx), atol=0.2)
