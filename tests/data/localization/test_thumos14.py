"""THUMOS14's text files, on a tiny copy of the published layout."""

import pytest

from rvmae_jax.data.localization.thumos14 import thumos14
from rvmae_jax.data.localization.untrimmed import AMBIGUOUS


def _copy(root, class_list=True):
  files = {
    'TH14_val/annotation/GolfSwing_val.txt': (
      'video_validation_0000002  10.5 12.0\n'
      'video_validation_0000001  0.5 3.2\n\n'
    ),
    'TH14_val/annotation/Billiards_val.txt': (
      'video_validation_0000002 1.0 2.0\n'
    ),
    'TH14_val/annotation/Ambiguous_val.txt': (
      'video_validation_0000002 20.0 21.0\n'
    ),
    'TH14_test/annotation/Diving_test.txt': 'video_test_0000001 3.0 4.0\n',
    'videos/validation/video_validation_0000001.mp4': '',
    'videos/validation/video_validation_0000002.mp4': '',
    'videos/test/video_test_0000001.mp4': '',
  }
  if class_list:
    files['TH14_val/annotation/detclasslist.txt'] = (
      '12 Billiards\n26 Diving\n36 GolfSwing\n'
    )
  for name, text in files.items():
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
  return str(root)


@pytest.mark.parametrize('class_list', [True, False])
def test_segments_and_labels(tmp_path, class_list):
  read = thumos14(_copy(tmp_path, class_list))
  assert read.class_names == ['Billiards', 'Diving', 'GolfSwing']
  first, second = read.videos
  assert first.name == 'video_validation_0000001'
  assert first.parts[0].endswith('validation/video_validation_0000001.mp4')
  assert first.segments_s.tolist() == [[0.5, 3.2]]
  assert first.labels.tolist() == [2]
  found = dict(zip(second.labels.tolist(), second.segments_s.tolist()))
  assert found == {0: [1, 2], 2: [10.5, 12], AMBIGUOUS: [20, 21]}


def test_the_other_subset(tmp_path):
  [video] = thumos14(_copy(tmp_path), 'test').videos
  assert video.labels.tolist() == [1]
  with pytest.raises(
    ValueError, match="'train' is not one of validation, test"
  ):
    thumos14(str(tmp_path), 'train')


def test_missing_videos_are_named(tmp_path):
  path = _copy(tmp_path)
  (tmp_path / 'videos/validation/video_validation_0000001.mp4').unlink()
  with pytest.raises(FileNotFoundError, match=r'1 of 2 .*0000001.*found 2 vid'):
    thumos14(path)


def test_no_annotations_shows_what_is_there(tmp_path):
  (tmp_path / 'GolfSwing.txt').touch()
  with pytest.raises(FileNotFoundError, match=r'\*_val.txt.*: GolfSwing.txt'):
    thumos14(str(tmp_path))


def test_a_wrong_line_is_shown(tmp_path):
  path = _copy(tmp_path)
  wrong = tmp_path / 'TH14_val/annotation/GolfSwing_val.txt'
  wrong.write_text('video_validation_0000001,0.5,3.2\n')
  with pytest.raises(ValueError, match=r'line 1 of .*found .*,0.5,3.2'):
    thumos14(path)


def test_a_file_of_no_class_is_named(tmp_path):
  path = _copy(tmp_path)
  (tmp_path / 'TH14_val/annotation/Golf_val.txt').write_text('a 1 2\n')
  with pytest.raises(ValueError, match=r'Golf_val.txt.* of no class'):
    thumos14(path)
