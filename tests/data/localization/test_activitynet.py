"""ActivityNet's JSON, on copies of its layout and on the composed videos."""

import json

import pytest

from rvmae_jax.data.localization.activitynet import activitynet

_DATABASE = {
  'b': {
    'subset': 'training',
    'duration': 9.0,
    'annotations': [
      {'segment': [5.5, 8], 'label': 'Zumba'},
      {'segment': [0.5, 3], 'label': 'Archery'},
    ],
  },
  'a': {'subset': 'training', 'annotations': []},
  'c': {
    'subset': 'validation',
    'annotations': [{'segment': [1, 2], 'label': 'Beer pong'}],
  },
  'd': {'subset': 'testing'},  # Published without annotations.
}


def _write(folder, database, files=()):
  for file in files:
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
  path = folder / 'annotations.json'
  path.write_text(json.dumps({'version': '1.3', 'database': database}))
  return str(path)


def test_segments_and_labels_of_a_subset(tmp_path):
  path = _write(tmp_path, _DATABASE, ['deep/v_b.mkv', 'a.mp4'])
  read = activitynet(path, 'training')
  # Of all subsets, so that labels mean the same in each.
  assert read.class_names == ['Archery', 'Beer pong', 'Zumba']
  first, second = read.videos
  assert (first.name, second.name) == ('a', 'b')
  assert first.segments_s.shape == (0, 2)
  assert second.parts == [str(tmp_path / 'deep' / 'v_b.mkv')]
  assert second.segments_s.tolist() == [[5.5, 8], [0.5, 3]]
  assert second.labels.tolist() == [2, 0]


def test_videos_lie_elsewhere(tmp_path):
  (tmp_path / 'files').mkdir()
  path = _write(tmp_path, _DATABASE)
  _write(tmp_path / 'files', {}, ['c.webm'])
  read = activitynet(path, 'validation', videos=str(tmp_path / 'files'))
  assert [video.name for video in read.videos] == ['c']


def test_missing_videos_are_named_or_left_out(tmp_path):
  path = _write(tmp_path, _DATABASE, ['v_b.mp4', 'other.mp4'])
  with pytest.raises(FileNotFoundError) as error:
    activitynet(path, 'training')
  message = str(error.value)
  assert "1 of 2 videos have no file below '" in message
  assert "Looked for 'a', 'v_a'" in message
  assert "found 2 videos: 'other', 'v_b'" in message
  read = activitynet(path, 'training', allow_missing=True)
  assert [video.name for video in read.videos] == ['b']


def test_without_any_video_nothing_goes_on(tmp_path):
  path = _write(tmp_path, _DATABASE, ['other.mp4'])
  with pytest.raises(FileNotFoundError, match='2 of 2 videos have no file'):
    activitynet(path, 'training', allow_missing=True)


def test_an_unknown_subset_shows_those_that_are_there(tmp_path):
  path = _write(tmp_path, _DATABASE)
  with pytest.raises(ValueError, match="'training': 2, 'validation': 1"):
    activitynet(path, 'train')


@pytest.mark.parametrize(
  ('content', 'found'),
  [
    ([1, 2], "found <class 'list'>"),
    ({'videos': {}, 'classes': []}, r"found \['classes', 'videos'\]"),
    ({'database': {'a': {'annotations': []}}}, "KeyError: 'subset'"),
    (
      {'database': {'a': {'subset': 't', 'annotations': [{'label': 'x'}]}}},
      "video 'a'.*KeyError: 'segment'",
    ),
    (
      {
        'database': {
          'a': {
            'subset': 't',
            'annotations': [{'label': 'x', 'segment': [3, 2]}],
          }
        }
      },
      '2.0 is not after 3.0',
    ),
  ],
)
def test_another_layout_is_shown(tmp_path, content, found):
  path = tmp_path / 'annotations.json'
  path.write_text(json.dumps(content))
  with pytest.raises(ValueError, match=found):
    activitynet(str(path), 't')


def test_composed_videos(shared_dir):
  path = shared_dir / 'data' / 'temporal_composed' / 'annotations.json'
  read = activitynet(str(path), 'test')
  assert len(read.videos) == 8 and len(read.class_names) == 6
  assert read.videos[0].segments_s[1].tolist() == [2.333, 10.4]
