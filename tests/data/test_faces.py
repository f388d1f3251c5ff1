"""Faces: followed through frames that miss them, and hidden for good."""

import types

import numpy as np
import pytest

from rvmae_jax.data import faces

cv2 = pytest.importorskip('cv2', reason='the extra [faces] is not installed')

BOX = (10.0, 20.0, 30.0, 40.0)


def _moved(box, pixels):
  return box[0] + pixels, box[1], box[2] + pixels, box[3]


def _follow(found, num_frames, frames_per_s=4):
  """`follow` of boxes given by number of the frame."""
  times_s = np.arange(num_frames) / frames_per_s
  return faces.follow([found.get(i, []) for i in range(num_frames)], times_s)


def test_a_face_stays_hidden_between_and_around_detections():
  found = _follow({4: [BOX], 8: [_moved(BOX, 8.0)]}, 14)
  assert found.number == 1
  # Half a second, 2 frames, before and after; in between 2 pixels a frame.
  places = [0, 0, 0, 2, 4, 6, 8, 8, 8]
  expected = [[_moved(BOX, float(place))] for place in places]
  assert found.boxes == [[], [], *expected, [], [], []]
  assert found.num_frames == 9


def test_a_face_that_is_long_gone_is_another():
  assert _follow({0: [BOX], 8: [BOX]}, 9).number == 1
  found = _follow({0: [BOX], 9: [BOX]}, 10)
  assert found.number == 2
  assert found.boxes[3:7] == [[]] * 4


def test_faces_side_by_side_are_followed_each():
  other = _moved(BOX, 100.0)
  found = _follow({0: [BOX, other], 2: [other, BOX]}, 3)
  assert found.number == 2
  assert found.boxes == [[BOX, other]] * 3


def test_detections_of_one_face_in_one_frame_are_one():
  found = _follow({0: [BOX, (12.0, 18.0, 34.0, 38.0)]}, 1)
  assert found.boxes == [[(10.0, 18.0, 34.0, 40.0)]]


def test_a_video_without_faces_is_left_as_it_is():
  found = _follow({}, 3)
  assert (found.number, found.num_frames) == (0, 0)
  frame = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
  np.testing.assert_array_equal(faces.hide(frame, found.boxes[0]), frame)


def test_of_a_face_nothing_is_left_but_blots():
  """Columns of black and white, which any mean of enough of them makes grey."""
  frame = np.zeros((80, 80, 3), np.uint8)
  frame[:, ::2] = 255
  hidden = faces.hide(frame, [(20.0, 20.0, 60.0, 60.0)])
  is_inside = np.zeros((80, 80), bool)
  is_inside[10:70, 10:70] = True  # A quarter further on each side.
  np.testing.assert_array_equal(hidden[~is_inside], frame[~is_inside])
  assert np.abs(hidden[is_inside].astype(int) - 127).max() <= 1
  assert frame[40, 40].max() == 255  # The frame given is not written to.


def test_a_face_at_the_edge_is_hidden_up_to_it():
  frame = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
  hidden = faces.hide(
    frame, [(-4.0, -4.0, 20.0, 20.0), (50.0, 30.0, 64.0, 48.0)]
  )
  assert np.abs(np.diff(hidden[:20, :20].astype(int), axis=1)).max() < 40
  assert np.abs(np.diff(hidden[32:, 52:].astype(int), axis=1)).max() < 60


def test_an_opencv_without_detectors_is_told(monkeypatch):
  other = types.SimpleNamespace(__version__='5.0.0', setNumThreads=lambda _: 0)
  monkeypatch.setitem(__import__('sys').modules, 'cv2', other)
  with pytest.raises(ImportError, match=r'5\.0\.0 .*"rvmae_jax\[faces\]"'):
    faces.FaceDetector()


@pytest.mark.skipif(
  not hasattr(cv2, 'CascadeClassifier'), reason='OpenCV 5 has no cascades'
)
def test_faces_of_real_people_are_found(shared_dir):
  path = str(shared_dir / 'data/wlasl15/apple/02999.mp4')
  found = faces.find_faces({'path': path, 'label': 0}, max_seconds=0.2)
  assert found.number >= 1
  assert all(found.boxes)
