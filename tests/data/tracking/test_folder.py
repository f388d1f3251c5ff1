"""Your own video with masks or keypoints, in every form that is read."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.data.tracking.copies import (
  FIRST,
  build,
  names,
  palette_masks,
  save_images,
)


@pytest.fixture
def video(tmp_path):
  save_images(tmp_path / 'frames')
  return tmp_path / 'frames'


def folder(video, labels):
  return build('folder', video, labels=str(labels))


def test_a_folder_with_one_mask(video, tmp_path):
  Image.fromarray(FIRST).save(tmp_path / 'first.png')
  dataset = folder(video, tmp_path / 'first.png')
  assert dataset.kind == 'objects' and names(dataset) == ['frames']
  np.testing.assert_array_equal(dataset[0].label(0), FIRST)
  assert dataset[0].label(1) is None


def test_a_folder_with_masks_of_some_frames(video, tmp_path):
  palette_masks(tmp_path / 'masks')
  (tmp_path / 'masks/00001.png').unlink()
  assert sorted(folder(video, tmp_path / 'masks')[0].labels) == [0, 2]


def test_masks_of_a_video_file_are_found_by_number(tmp_path):
  palette_masks(tmp_path / 'masks', digits=1)
  dataset = folder(tmp_path / 'film.mp4', tmp_path / 'masks')
  assert sorted(dataset[0].labels) == [0, 1, 2]


POINTS = {0: [[1, 2], [3, 4]], 2: [[np.nan, np.nan], [5, 6]]}
CSV = 'frame,keypoint,x,y\n0,nose,1,2\n0,tail,3,4\n2,tail,5,6\n'
JSON = {'0': {'nose': [1, 2], 'tail': [3, 4]}, '2': {'tail': [5, 6]}}
DEEPLABCUT = (
  'scorer,me,me,me,me\nbodyparts,nose,nose,tail,tail\ncoords,x,y,x,y\n'
  'data/00000.jpg,1,2,3,4\ndata/00002.jpg,,,5,6\ndata/99999.jpg,0,0,0,0\n'
)


@pytest.mark.parametrize(
  ('name', 'text'),
  [
    ('points.csv', CSV),
    ('points.json', json.dumps(JSON)),
    ('deeplabcut.csv', DEEPLABCUT),
    # Newer versions give the path in three columns.
    (
      'deeplabcut3.csv',
      DEEPLABCUT.replace('scorer,', 'scorer,,,')
      .replace('bodyparts,', 'bodyparts,,,')
      .replace('coords,', 'coords,,,')
      .replace('data/', 'labeled-data,data,'),
    ),
  ],
)
def test_a_folder_with_keypoints(video, tmp_path, name, text):
  (tmp_path / name).write_text(text)
  dataset = folder(video, tmp_path / name)
  assert dataset.kind == 'keypoints'
  assert sorted(dataset[0].labels) == [0, 2]
  for frame, points in POINTS.items():
    np.testing.assert_array_equal(dataset[0].label(frame), points)


def test_a_table_of_several_animals_with_likelihoods(video, tmp_path):
  (tmp_path / 'two.csv').write_text(
    'scorer,me,me,me,me,me,me\n'
    'individuals,ann,ann,ann,bob,bob,bob\n'
    'bodyparts,nose,nose,nose,nose,nose,nose\n'
    'coords,x,y,likelihood,x,y,likelihood\n'
    'data/00000.jpg,1,2,0.9,3,4,0.8\n'
  )
  dataset = folder(video, tmp_path / 'two.csv')
  np.testing.assert_array_equal(dataset[0].label(0), [[1, 2], [3, 4]])


def test_a_short_row_of_deeplabcut_lacks_its_last_points(video, tmp_path):
  (tmp_path / 'short.csv').write_text(DEEPLABCUT.replace(',1,2,3,4', ',1,2'))
  dataset = folder(video, tmp_path / 'short.csv')
  nowhere = [np.nan, np.nan]
  np.testing.assert_array_equal(dataset[0].label(0), [[1, 2], nowhere])


def test_a_real_table_of_deeplabcut(shared_dir, tmp_path):
  path = shared_dir / 'data/mirror_mouse_kpts'
  for image in (path / 'labeled-data').iterdir():
    if image.stem != 'img00':  # The only one without a row.
      (tmp_path / image.name).symlink_to(image)
  dataset = folder(tmp_path, path / 'CollectedData.csv')
  labels = dataset[0].labels
  assert len(labels) == 90 and labels[0].shape == (17, 2)
  np.testing.assert_allclose(labels[0][0], [77.25, 36.25])
  assert np.isnan(labels[0][4]).all()


@pytest.mark.parametrize(
  ('name', 'text', 'message'),
  [
    ('points.csv', 'a,b\n1,2\n', r"columns \['a', 'b'\]"),
    ('points.json', '{"0": [1, 2]}', 'must hold'),
    ('points.csv', CSV.replace('0,', '1,'), r'frames \[1, 2\] and not frame 0'),
    ('points.txt', '', 'must be a mask'),
    ('points.csv', 'scorer,me\n', r"begin with the rows .*\['scorer', 'me'\]"),
    (
      'points.csv',
      DEEPLABCUT.replace('x,y,x,y', 'x,x,y,y'),
      r"x and y for each .* \['coords', 'x', 'x', 'y', 'y'\]",
    ),
    (
      'points.csv',
      DEEPLABCUT.replace('nose,nose,tail,tail', 'nose,nose'),
      'that the others name',
    ),
    ('points.csv', DEEPLABCUT.replace('5,6', '5,six'), "line 5 .* 'six'"),
  ],
)
def test_labels_that_cannot_be_read(video, tmp_path, name, text, message):
  (tmp_path / name).write_text(text)
  with pytest.raises((ValueError, FileNotFoundError), match=message):
    folder(video, tmp_path / name)


def test_labels_that_are_not_there(video, tmp_path):
  with pytest.raises(FileNotFoundError, match='Found frames/'):
    folder(video, tmp_path / 'no.png')
