"""Readers of published layouts, on tiny copies of them; and what is wrong."""

import shutil

import numpy as np
import pytest
import scipy.io
from PIL import Image

from rvmae_jax.data.frames import read_frames
from rvmae_jax.data.tracking.videos import TrackedVideo, read_mask
from tests.data.tracking.copies import (
  FIRST,
  FRAMES,
  SIZE,
  build,
  names,
  palette_masks,
  save_images,
)


@pytest.fixture(scope='module')
def davis(tmp_path_factory):
  root = tmp_path_factory.mktemp('DAVIS')
  for name in ('bear', 'cows', 'dog'):
    save_images(root / 'JPEGImages/480p' / name)
    palette_masks(root / 'Annotations/480p' / name)
  for year, lines in {
    '2017': ['dog', 'bear'],
    '2016': [
      f'/JPEGImages/480p/cows/{i:05d}.jpg /Annotations/480p/cows/{i:05d}.png'
      for i in range(FRAMES)
    ],
  }.items():
    lists = root / 'ImageSets' / year
    lists.mkdir(parents=True)
    (lists / 'val.txt').write_text('\n'.join([*lines, '']))
  return root


@pytest.fixture(scope='module')
def vip(tmp_path_factory):
  root = tmp_path_factory.mktemp('VIP_Fine')
  for name in ('videos1', 'videos7'):
    save_images(root / 'Images' / name, first=1, digits=12)
    palette_masks(root / 'Annotations/Category_ids' / name, first=1, digits=12)
  (root / 'lists').mkdir()
  (root / 'lists/val_videos.txt').write_text('videos7\n')
  return root


@pytest.fixture(scope='module')
def jhmdb(tmp_path_factory):
  root = tmp_path_factory.mktemp('JHMDB')
  joints = np.zeros((2, 15, FRAMES))
  joints[0] = 5  # x from 1
  joints[1] = 8
  joints[:, 14] = 40  # Outside of the frame.
  for name in ('catch/a', 'catch/b', 'run/c'):
    save_images(root / 'Rename_Images' / name, 'png', first=1)
    folder = root / 'joint_positions' / name
    folder.mkdir(parents=True)
    scipy.io.savemat(folder / 'joint_positions.mat', {'pos_img': joints})
  (root / 'splits').mkdir()
  (root / 'splits/catch_test_split1.txt').write_text('a.avi 1\nb.avi 2\n')
  (root / 'splits/run_test_split1.txt').write_text('c.avi 2\n')
  (root / 'splits/run_test_split2.txt').write_text('c.avi 1\n')
  return root


def test_davis_takes_the_videos_of_a_list(davis):
  dataset = build('davis', davis)
  assert names(dataset) == ['dog', 'bear']
  video = dataset[0]
  np.testing.assert_array_equal(video.label(0), FIRST)
  assert [frame.shape for frame in read_frames(video.video)] == [(*SIZE, 3)] * 3
  assert sorted(video.labels) == [0, 1, 2] and video.label(3) is None


def test_davis_2016_has_one_object(davis):
  dataset = build('davis', davis, year=2016)
  assert names(dataset) == ['cows']
  np.testing.assert_array_equal(dataset[0].label(1), FIRST > 0)


def test_davis_without_lists_has_all_videos(davis, tmp_path):
  for name in ('JPEGImages', 'Annotations'):
    shutil.copytree(davis / name, tmp_path / name)
  assert names(build('davis', tmp_path)) == ['bear', 'cows', 'dog']


def test_real_davis(shared_dir):
  dataset = build('davis', shared_dir / 'data/davis16')
  assert len(dataset) == 6
  mask = dataset[0].label(0)
  assert mask.shape == (480, 854) and set(np.unique(mask)) == {0, 1}


def test_vip(vip):
  dataset = build('vip', vip)
  assert names(dataset) == ['videos7']
  assert dataset.top_k == 10
  np.testing.assert_array_equal(dataset[0].label(2), FIRST)


@pytest.mark.parametrize(
  ('settings', 'expected'),
  [
    ({}, ['catch/b', 'run/c']),
    ({'split': 'train'}, ['catch/a']),
    ({'split': 'train', 'number': 2}, ['run/c']),
  ],
)
def test_jhmdb_splits(jhmdb, settings, expected):
  assert names(build('jhmdb', jhmdb, **settings)) == expected


def test_jhmdb_joints_count_from_0_and_hide_outside_of_the_frame(jhmdb):
  label = build('jhmdb', jhmdb)[0].label(0)
  np.testing.assert_array_equal(label[:14], [[4, 7]] * 14)
  assert np.isnan(label[14]).all()


def test_a_mask_for_every_frame_is_not_needed(vip, tmp_path):
  shutil.copytree(vip, tmp_path, dirs_exist_ok=True)
  masks = tmp_path / 'Annotations/Category_ids/videos7'
  (masks / '000000000002.png').unlink()
  assert sorted(build('vip', tmp_path)[0].labels) == [0, 2]


@pytest.mark.parametrize(
  ('name', 'missing', 'messages'),
  [
    ('davis', 'JPEGImages', ['JPEGImages/480p', 'Found Annotations/']),
    ('davis', 'ImageSets/2017/val.txt', ['for val.txt', 'Found nothing']),
    ('davis', 'Annotations/480p/dog', ['dog', 'Found bear/, cows/']),
    ('davis', 'Annotations/480p/dog/00000.png', ['first frame', '00001.png']),
    ('vip', 'Annotations', ['Annotations/Category_ids', 'Images/, lists/']),
    ('jhmdb', 'Rename_Images', ['Rename_Images', 'joint_positions/, splits/']),
    ('jhmdb', 'splits/run_test_split1.txt', []),
    ('jhmdb', 'joint_positions/catch/b', ['joint_positions.mat', 'no such']),
  ],
)
def test_another_layout_is_shown(request, tmp_path, name, missing, messages):
  root = tmp_path / 'copy'
  shutil.copytree(request.getfixturevalue(name), root)
  gone = root / missing
  shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
  if not messages:
    assert names(build(name, root)) == ['catch/b']
    return
  with pytest.raises(FileNotFoundError) as error:
    build(name, root)[0]
  for message in messages:
    assert message in str(error.value)


def test_a_missing_split_of_jhmdb_is_shown(jhmdb):
  with pytest.raises(FileNotFoundError, match='catch_test_split1'):
    build('jhmdb', jhmdb, number=3)
  with pytest.raises(ValueError, match="split='val'"):
    build('jhmdb', jhmdb, split='val')


@pytest.mark.parametrize(
  ('values', 'expected'),
  [((0, 255), (0, 1)), ((0, 3), (0, 3)), ((1, 255), (1, 0)), ((0, 0), (0, 0))],
)
def test_what_255_means_depends_on_the_others(tmp_path, values, expected):
  np.testing.assert_array_equal(labels_of(tmp_path, values), [[expected]])


def labels_of(folder, *masks):
  """Labels of a video with these masks of one row each."""
  files = {}
  for i, values in enumerate(masks):
    files[i] = str(folder / f'{i}.png')
    Image.fromarray(np.array([values], np.uint8)).save(files[i])
  video = TrackedVideo('a', 'a.mp4', files)
  return np.array([video.label(i) for i in files])


def test_255_means_the_same_in_all_frames_of_a_video(tmp_path):
  masks = (0, 255), (1, 255), (0, 0)
  found = labels_of(tmp_path, *masks)
  np.testing.assert_array_equal(found[:, 0], [(0, 0), (1, 0), (0, 0)])
  found = labels_of(tmp_path, (0, 255), (255, 255))
  np.testing.assert_array_equal(found[:, 0], [(0, 1), (1, 1)])
  assert found.dtype == np.uint8


def test_a_picture_is_no_mask(tmp_path):
  Image.new('RGB', (4, 4)).save(tmp_path / 'mask.png')
  with pytest.raises(ValueError, match='mode RGB'):
    read_mask(tmp_path / 'mask.png')


def test_black_and_white_masks(tmp_path):
  path = str(tmp_path / 'mask.png')
  Image.fromarray(FIRST > 0).save(path)
  label = TrackedVideo('a', 'a.mp4', {0: path}).label(0)
  np.testing.assert_array_equal(label, FIRST > 0)
