"""Readers of scenes on small copies in the published layouts."""

import io
import json
import pickle
import shutil

import numpy as np
import pytest
from PIL import Image

from rvmae_jax.data.frames import frame_times_s, read_frames
from rvmae_jax.data.scenes import BOXES, DEPTH, POINTS
from rvmae_jax.data.sprites.dataset import encode_mp4

SIZE = (12, 16)  # Height and width.
FRAMES = 4
GREY = np.stack([np.full((*SIZE, 3), 40 * t, np.uint8) for t in range(FRAMES)])


def jpeg(frame):
  file = io.BytesIO()
  Image.fromarray(frame).save(file, 'jpeg', quality=95)
  return file.getvalue()


def tap_video(tracks=2, **changes):
  rng = np.random.default_rng(0)
  return {
    'video': GREY,
    'points': rng.uniform(size=(tracks, FRAMES, 2)).astype(np.float32),
    'occluded': np.arange(tracks * FRAMES).reshape(tracks, FRAMES) % 3 == 0,
    **changes,
  }


def save_pickle(path, content):
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_bytes(pickle.dumps(content))


def brightness(video):
  return [int(frame.mean().round()) for frame in read_frames(video)]


def build(table, name, path, **settings):
  return table.build({'name': name, 'path': str(path), **settings})


def test_tap_vid_davis_names_its_videos(tmp_path):
  file = tmp_path / 'tapvid_davis.pkl'
  save_pickle(file, {'goat': tap_video(), 'car': tap_video(3)})
  for path in (file, tmp_path):
    dataset = build(POINTS, 'tap_vid', path)
    assert [dataset[i].name for i in range(len(dataset))] == ['goat', 'car']
  true, video = tap_video(3), dataset[1]
  np.testing.assert_array_equal(video.points, true['points'])
  np.testing.assert_array_equal(video.visible, ~true['occluded'])
  assert brightness(video.video) == [0, 40, 80, 120]


def test_tap_vid_rgb_stacking_is_a_list(tmp_path):
  save_pickle(tmp_path / 'tapvid_rgb_stacking.pkl', [tap_video(), tap_video(5)])
  dataset = build(POINTS, 'tap_vid', tmp_path)
  assert dataset[1].name == 'tapvid_rgb_stacking/0001'
  assert dataset[1].points.shape == (5, FRAMES, 2)


def test_tap_vid_kinetics_is_jpegs_in_several_files(tmp_path):
  for shard, tracks in enumerate([(1, 2), (3,)]):
    videos = [
      tap_video(n, video=[jpeg(frame) for frame in GREY]) for n in tracks
    ]
    save_pickle(tmp_path / f'{shard:04d}_of_0002.pkl', videos)
  dataset = build(POINTS, 'tap_vid', tmp_path)
  assert [len(dataset[i].points) for i in range(len(dataset))] == [1, 2, 3]
  assert dataset[2].name == '0001_of_0002/0000'
  assert brightness(dataset[0].video) == [0, 40, 80, 120]


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    ('text', 'holds a str; looked for a dict of videos by name, or a list'),
    ({'a': [1]}, "video 'a' .*must have video, points, occluded; found a list"),
    ({'a': {'frames': 1, 'points': 2}}, r"found \['frames', 'points'\]"),
    ([tap_video(video=GREY[:2])], r'has 2 frames, points \[2, 4, 2\]'),
    ([tap_video(points=100 * np.ones((2, 4, 2)))], 'from 100 to 100; looked'),
    ([tap_video(video=GREY / 255)], r'frames \[4, 12, 16, 3\] float64'),
  ],
)
def test_another_layout_of_tap_vid_is_shown(tmp_path, content, message):
  save_pickle(tmp_path / 'a.pkl', content)
  with pytest.raises(ValueError, match=message):
    build(POINTS, 'tap_vid', tmp_path)[0]


def test_no_pickle_is_shown(tmp_path):
  (tmp_path / 'tapvid_davis.zip').touch()
  with pytest.raises(FileNotFoundError, match=r"'.pkl'. Found tapvid_davis"):
    build(POINTS, 'tap_vid', tmp_path)
  save_pickle(tmp_path / 'other.pkl', [])
  with pytest.raises(FileNotFoundError, match=r'There is other\.pkl'):
    build(POINTS, 'tap_vid', tmp_path / 'davis.pkl')


ANNOTATIONS = {
  'video_1': {
    'metadata': {'num_frames': FRAMES, 'split': 'valid', 'frame_rate': 30.0},
    # y of both frames, then x.
    'point_tracking': [
      {'id': 0, 'points': [[0.25, 0.5], [0.75, 1.0]], 'frame_ids': [1, 3]}
    ],
    'object_tracking': [],
  },
  'video_2': {
    'metadata': {'num_frames': FRAMES, 'split': 'valid', 'frame_rate': 30.0},
    'point_tracking': [],
    'object_tracking': [
      {'id': 0, 'bounding_boxes': [[0.1, 0.2, 0.3, 0.4]], 'frame_ids': [2]},
      {
        'id': 1,
        'bounding_boxes': [[0, 0, 1, 1], [0, 0, 0.5, 1]],
        'frame_ids': [0, 3],
      },
    ],
  },
}


@pytest.fixture
def perception_test(tmp_path):
  (tmp_path / 'videos').mkdir()
  (tmp_path / 'all_valid.json').write_text(json.dumps(ANNOTATIONS))
  for name in ANNOTATIONS:
    (tmp_path / f'videos/{name}.mp4').write_bytes(encode_mp4(GREY, 30))
  return tmp_path


def test_perception_test_points(perception_test):
  dataset = build(POINTS, 'perception_test', perception_test)
  assert len(dataset) == 1
  video = dataset[0]
  assert video.name == 'video_1'
  assert video.visible.tolist() == [[False, True, False, True]]
  np.testing.assert_allclose(video.points[0, [1, 3]], [[0.75, 0.25], [1, 0.5]])
  assert len(brightness(video.video)) == FRAMES


def test_perception_test_boxes(perception_test):
  dataset = build(BOXES, 'perception_test', perception_test)
  assert len(dataset) == 1
  boxes = dataset[0].boxes
  assert boxes.shape == (2, FRAMES, 4)
  np.testing.assert_allclose(boxes[0, 2], [0.2, 0.1, 0.4, 0.3])
  np.testing.assert_allclose(boxes[1, 3], [0, 0, 1, 0.5])
  there = ~np.isnan(boxes).any(-1)
  assert there.tolist() == [
    [False, False, True, False],
    [True, False, False, True],
  ]


def rewrite(root, name, change):
  """Changes the first track of a video of the annotations."""
  content = json.loads(json.dumps(ANNOTATIONS))
  change(content[name])
  (root / 'all_valid.json').write_text(json.dumps(content))


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (
      lambda v: v['object_tracking'][0].pop('frame_ids'),
      "KeyError: 'frame_ids'",
    ),
    (
      lambda v: v['object_tracking'][0].update(frame_ids=[9]),
      'frames 9 to 9 of a video of 4',
    ),
    (
      lambda v: v['object_tracking'][0].update(frame_ids=[1, 2]),
      r'2 frames and values \[1, 4\]; looked for \[2, 4\]',
    ),
    (
      lambda v: v.pop('object_tracking'),
      r"and object_tracking; found 2 entries, the first with \['meta",
    ),
  ],
)
def test_another_layout_of_perception_test_is_shown(
  perception_test, change, message
):
  rewrite(perception_test, 'video_2', change)
  with pytest.raises(ValueError, match=message):
    build(BOXES, 'perception_test', perception_test)[0]


def test_missing_parts_of_perception_test_are_shown(perception_test):
  (perception_test / 'videos/video_2.mp4').unlink()
  with pytest.raises(FileNotFoundError, match=r'video_2\.mp4.*video_1\.mp4'):
    build(BOXES, 'perception_test', perception_test)[0]
  (perception_test / 'b.json').touch()
  with pytest.raises(ValueError, match=r'all_valid\.json, b\.json; say'):
    build(BOXES, 'perception_test', perception_test)
  shutil.rmtree(perception_test / 'videos')
  with pytest.raises(
    FileNotFoundError, match=r"the folder '.*videos'.*all_val"
  ):
    build(
      BOXES, 'perception_test', perception_test, annotations='all_valid.json'
    )


@pytest.fixture
def scannet(tmp_path):
  for scene in ('scene0000_00', 'scene0001_00'):
    for part in ('color', 'depth'):
      (tmp_path / scene / part).mkdir(parents=True)
    for number in (0, 9, 10):
      Image.fromarray(np.full((*SIZE, 3), 10 * number, np.uint8)).save(
        tmp_path / scene / f'color/{number}.jpg'
      )
      millimetres = np.full((6, 8), 1000 + number, np.uint16)
      millimetres[0, 0] = 0
      millimetres[0, 1] = 65535
      Image.fromarray(millimetres).save(
        tmp_path / scene / f'depth/{number}.png'
      )
  (tmp_path / 'scannetv2_val.txt').write_text('scene0001_00\nscene9999_00\n')
  return tmp_path


def test_scannet_frames_and_depth_come_by_number(scannet):
  dataset = build(DEPTH, 'scannet', scannet)
  assert [dataset[i].name for i in range(len(dataset))] == ['scene0001_00']
  video = dataset[0]
  assert brightness(video.video) == [0, 90, 100] and len(video.maps) == 3
  depth = video.depth(2)
  assert depth.shape == (6, 8) and depth.dtype == np.float32
  assert np.isnan(depth[0, 0]) and np.isnan(depth).sum() == 1
  np.testing.assert_allclose(depth[0, 1], 65.535)
  np.testing.assert_allclose(depth[1:], 1.01)


def test_depth_is_resized_without_new_values(scannet):
  video = build(DEPTH, 'scannet', scannet)[0]
  large = video.depth(0, size=(12, 16))
  np.testing.assert_array_equal(large[::2, ::2], video.depth(0))
  np.testing.assert_array_equal(large[1::2, 1::2], video.depth(0))
  # Of pairs the second: row 1, column 1 and so on.
  np.testing.assert_array_equal(
    video.depth(0, size=(3, 4)), video.depth(0)[1::2, 1::2]
  )


def test_scannet_without_lists(scannet):
  assert len(build(DEPTH, 'scannet', scannet, split='all')) == 2
  with pytest.raises(FileNotFoundError, match=r'scannetv2_train\.txt, Task'):
    build(DEPTH, 'scannet', scannet, split='train')


@pytest.mark.parametrize(
  ('missing', 'message'),
  [
    ('scene0001_00/depth', "no folder '.*depth'. Found color/"),
    ('scene0001_00', r'2 scenes of .*Found scene0000_00/'),
  ],
)
def test_another_layout_of_scannet_is_shown(scannet, missing, message):
  shutil.rmtree(scannet / missing)
  with pytest.raises(FileNotFoundError, match=message):
    build(DEPTH, 'scannet', scannet)[0]


def test_depth_must_have_16_bits(scannet):
  for path in (scannet / 'scene0001_00/depth').iterdir():
    Image.new('L', (8, 6)).save(path)
  with pytest.raises(ValueError, match='has mode L; a depth map is a 16-bit'):
    build(DEPTH, 'scannet', scannet)[0].depth(0)


def test_depth_without_frames_is_shown(scannet):
  for path in (scannet / 'scene0001_00/depth').iterdir():
    path.rename(path.with_name(f'7{path.name}'))
  with pytest.raises(FileNotFoundError, match='has both an image and a depth'):
    build(DEPTH, 'scannet', scannet)[0]


TIMES = (1_000_000, 1_100_000, 1_200_000)
# time, camera, object, centre and size in pixels
BOX_ROWS = (
  (TIMES[0], 1, 'car', 8, 6, 4, 2),
  (TIMES[2], 1, 'car', 8, 6, 8, 6),
  (TIMES[1], 1, 'bus', 2, 3, 4, 6),
  (TIMES[1], 2, 'car', 1, 1, 1, 1),
  (TIMES[1] + 1, 1, 'car', 9, 9, 1, 1),  # Without an image.
)


@pytest.fixture
def waymo(tmp_path):
  arrow = pytest.importorskip('pyarrow')
  parquet = pytest.importorskip('pyarrow.parquet')
  folder = tmp_path / 'validation'
  for part in ('camera_image', 'camera_box'):
    (folder / part).mkdir(parents=True)
  # Not in the order of time.
  images = [(time, camera) for time in TIMES[::-1] for camera in (2, 1)]
  columns = {
    'key.segment_context_name': ['seg'] * len(images),
    'key.frame_timestamp_micros': [time for time, _ in images],
    'key.camera_name': arrow.array([c for _, c in images], arrow.int8()),
    '[CameraImageComponent].image': [
      jpeg(GREY[TIMES.index(time)] + camera) for time, camera in images
    ],
  }
  parquet.write_table(arrow.table(columns), folder / 'camera_image/seg.parquet')
  time, camera, thing, *box = zip(*BOX_ROWS)
  columns = {
    'key.segment_context_name': ['seg'] * len(BOX_ROWS),
    'key.frame_timestamp_micros': time,
    'key.camera_name': arrow.array(camera, arrow.int8()),
    'key.camera_object_id': thing,
    **{
      f'[CameraBoxComponent].box.{part}': arrow.array(values, arrow.float64())
      for part, values in zip(('center.x', 'center.y', 'size.x', 'size.y'), box)
    },
    '[CameraBoxComponent].type': arrow.array([1] * len(BOX_ROWS), arrow.int8()),
  }
  parquet.write_table(arrow.table(columns), folder / 'camera_box/seg.parquet')
  return tmp_path


def test_waymo_boxes_of_one_camera(waymo):
  dataset = build(BOXES, 'waymo', waymo)
  assert len(dataset) == 1
  video = dataset[0]
  assert video.name == 'seg/front'
  assert brightness(video.video) == [1, 41, 81]
  np.testing.assert_allclose(frame_times_s(video.video), [0, 0.1, 0.2])
  # Objects by their ids: the bus, then the car; frames are 12 high, 16 wide.
  nan = [np.nan] * 4
  bus, car = video.boxes
  np.testing.assert_allclose(bus, [nan, [0, 0, 6 / 12, 4 / 16], nan])
  np.testing.assert_allclose(
    car,
    [
      [5 / 12, 6 / 16, 7 / 12, 10 / 16],
      nan,
      [3 / 12, 4 / 16, 9 / 12, 12 / 16],
    ],
    rtol=1e-6,
  )


def test_another_layout_of_waymo_is_shown(waymo):
  with pytest.raises(FileNotFoundError, match='camera_image, camera_box in'):
    build(BOXES, 'waymo', waymo, split='')
  with pytest.raises(ValueError, match="camera='rear' is not one of front"):
    build(BOXES, 'waymo', waymo, camera='rear')
  with pytest.raises(ValueError, match='no image of the side_left camera'):
    build(BOXES, 'waymo', waymo, camera='side_left')[0]
  folder = waymo / 'validation'
  shutil.copy(folder / 'camera_box/seg.parquet', folder / 'camera_image')
  with pytest.raises(
    ValueError, match=r'columns \[CameraImageComponent\].image'
  ):
    build(BOXES, 'waymo', waymo)[0]
  (folder / 'camera_box/seg.parquet').rename(folder / 'camera_box/x.parquet')
  with pytest.raises(FileNotFoundError, match='no segment is in both folders'):
    build(BOXES, 'waymo', waymo)
