"""Readers of published datasets, on tiny copies of their published layouts."""

import json
import pickle
import re

import pytest

from rvmae_jax.data.sources import SOURCES
from rvmae_jax.data.sources.published import Published, video_stem


def _write(root, files):
  for name, content in files.items():
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(content, str):
      content = json.dumps(content)
    (root / name).write_text(content)


def _records(root, name, **arguments):
  """{path below root: label} and the class names of a source."""
  source = SOURCES.build({'name': name, 'path': str(root), **arguments})
  source = pickle.loads(pickle.dumps(source))
  records = [source[i] for i in range(len(source))]
  return {
    record['path'].removeprefix(f'{root}/'): record['label']
    for record in records
  }, source.class_names


@pytest.fixture
def ucf101(tmp_path):
  """Two classes; clips of group 1 are for testing in split 1, of 2 in split 2.

  As in the real set, a folder and its files differ in a capital.
  """
  videos, lists = {}, {}
  for class_name, stem in (('Archery', 'Archery'), ('HandStand', 'Handstand')):
    for group in (1, 2):
      videos[f'UCF-101/{class_name}/v_{stem}_g{group:02d}_c01.avi'] = ''
  lists['classInd.txt'] = '1 Archery\r\n2 HandStand\r\n'
  for fold in (1, 2, 3):
    for split in ('train', 'test'):
      rows = [
        f'{name.removeprefix("UCF-101/")}'
        + (f' {1 + ("Stand" in name)}' if split == 'train' else '')
        for name in videos
        if (f'_g{min(fold, 2):02d}_' in name) == (split == 'test')
      ]
      lists[f'{split}list{fold:02d}.txt'] = '\r\n'.join(rows)
  _write(tmp_path, videos)
  _write(tmp_path, {f'ucfTrainTestlist/{k}': v for k, v in lists.items()})
  return tmp_path


def test_ucf101(ucf101):
  train, class_names = _records(ucf101, 'ucf101')
  assert class_names == ['Archery', 'HandStand']
  assert train == {
    'UCF-101/Archery/v_Archery_g02_c01.avi': 0,
    'UCF-101/HandStand/v_Handstand_g02_c01.avi': 1,
  }
  test, _ = _records(ucf101, 'ucf101', split='test')
  assert list(test.values()) == [0, 1] and not {*train} & {*test}
  assert _records(ucf101, 'ucf101', split='test', fold=2)[0] == train


def test_ucf101_lists_and_frames_may_lie_elsewhere(ucf101, tmp_path_factory):
  lists = tmp_path_factory.mktemp('lists')
  for file in (ucf101 / 'ucfTrainTestlist').iterdir():
    file.rename(lists / file.name)
  video = ucf101 / 'UCF-101/Archery/v_Archery_g02_c01.avi'
  video.unlink()
  _write(ucf101, {'UCF-101/Archery/v_Archery_g02_c01/0001.jpg': ''})
  records, _ = _records(ucf101, 'ucf101', lists=str(lists))
  assert 'UCF-101/Archery/v_Archery_g02_c01' in records


def test_hmdb51(tmp_path):
  lists = 'testTrainMulti_7030_splits'
  _write(
    tmp_path,
    {
      f'{lists}/wave_test_split1.txt': 'A#b(c)_wave_0.avi 1 \nd_wave_1.avi 2\n',
      f'{lists}/brush_hair_test_split1.txt': 'e_brush_hair_0.avi 1\n'
      'f_brush_hair_1.avi 0 \n',
      f'{lists}/wave_test_split2.txt': 'd_wave_1.avi 1\n',
      'wave/A#b(c)_wave_0.avi': '',
      'wave/d_wave_1.avi': '',
      'brush_hair/e_brush_hair_0.avi': '',
      'brush_hair/f_brush_hair_1.avi': '',
    },
  )
  assert _records(tmp_path, 'hmdb51') == (
    {'brush_hair/e_brush_hair_0.avi': 0, 'wave/A#b(c)_wave_0.avi': 1},
    ['brush_hair', 'wave'],
  )
  assert _records(tmp_path, 'hmdb51', split='test')[0] == {
    'wave/d_wave_1.avi': 1
  }
  with pytest.raises(FileNotFoundError, match=r"ends in '_test_split3\.txt'"):
    _records(tmp_path, 'hmdb51', fold=3)


@pytest.fixture
def kinetics(tmp_path):
  header = 'label,youtube_id,time_start,time_end,split\n'
  _write(
    tmp_path,
    {
      'annotations/train.csv': f'{header}air drumming,-a_b,1,11,train\n'
      'zumba,cd-,20,30,train\n',
      'annotations/validate.csv': f'{header}zumba,ef0,5,15,validate\n',
      'annotations/test.csv': 'youtube_id,time_start,time_end,split\n'
      'gh1,0,10,test\n',
      'train/air drumming/-a_b_000001_000011.mp4': '',
      'train/zumba/cd-_000020_000030.webm': '',
      'val/ef0_000005_000015.mp4': '',
      'test/gh1_000000_000010.mp4': '',
    },
  )
  return tmp_path


def test_kinetics(kinetics):
  assert _records(kinetics, 'kinetics') == (
    {
      'train/air drumming/-a_b_000001_000011.mp4': 0,
      'train/zumba/cd-_000020_000030.webm': 1,
    },
    ['air drumming', 'zumba'],
  )
  for split, label in (('val', 1), ('test', -1)):
    records, class_names = _records(kinetics, 'kinetics', split=split)
    assert list(records.values()) == [label]
    assert class_names == ['air drumming', 'zumba']


def test_kinetics_of_another_version_is_refused(kinetics):
  file = kinetics / 'annotations/validate.csv'
  file.write_text(file.read_text().replace('zumba', 'yarn spinning'))
  with pytest.raises(ValueError, match=r"none of the 2 .*'yarn spinning'"):
    _records(kinetics, 'kinetics', split='val')
  file.write_text('name,class\na,b\n')
  with pytest.raises(ValueError, match='needs the columns youtube_id'):
    _records(kinetics, 'kinetics', split='val')


def test_kinetics_takes_path_label_lists(kinetics):
  _write(kinetics, {'train.csv': '/old/disk/cd-_000020_000030.mp4 1\n'})
  assert _records(kinetics, 'kinetics') == (
    {'train/zumba/cd-_000020_000030.webm': 1},
    ['0', '1'],
  )


def test_ssv2(tmp_path):
  _write(
    tmp_path,
    {
      'labels/labels.json': {'Holding something next to something': '1'}
      | {'Dropping something, then it breaks': '0'},
      'labels/train.json': [
        {
          'id': '78687',
          'label': 'holding potato next to vicks vaporub bottle',
          'template': 'Holding [something] next to [something]',
          'placeholders': ['potato', 'vicks vaporub bottle'],
        }
      ],
      'labels/validation.json': [
        {'id': '5', 'template': 'Dropping [something], then it breaks'}
      ],
      'labels/test.json': [{'id': '7'}, {'id': '8'}],
      '20bn-something-something-v2/78687.webm': '',
      '20bn-something-something-v2/5.webm': '',
      '20bn-something-something-v2/7.webm': '',
      '20bn-something-something-v2/8.webm': '',
    },
  )
  folder = '20bn-something-something-v2'
  assert _records(tmp_path, 'ssv2') == (
    {f'{folder}/78687.webm': 1},
    ['Dropping something, then it breaks']
    + ['Holding something next to something'],
  )
  assert _records(tmp_path, 'ssv2', split='val')[0] == {f'{folder}/5.webm': 0}
  unlabelled = _records(tmp_path, 'ssv2', split='test')[0]
  assert [*unlabelled.values()] == [-1, -1]
  answers = '7;Dropping something, then it breaks\n'
  _write(tmp_path, {'labels/test-answers.csv': answers})
  assert _records(tmp_path, 'ssv2', split='test')[0] == {
    f'{folder}/7.webm': 0,
    f'{folder}/8.webm': -1,
  }
  _write(
    tmp_path, {'labels/train.json': [{'id': '5', 'template': '[a] flies'}]}
  )
  with pytest.raises(ValueError, match=r'\[a\] flies.* is not a label of'):
    _records(tmp_path, 'ssv2')
  _write(tmp_path, {'labels/train.json': [{'id': '5', 'template': 5}]})
  with pytest.raises(ValueError, match=r"'template': 5.* is not a label of"):
    _records(tmp_path, 'ssv2')


def test_diving48(tmp_path):
  clip = {'vid_name': '-3B32lodo2M_00059', 'start_frame': 0, 'end_frame': 158}
  _write(
    tmp_path,
    {
      'Diving48_vocab.json': [['Back', '15som', '05Twis', 'FREE'], ['Inward']],
      'Diving48_V2_train.json': [{**clip, 'label': 1}],
      'Diving48_train.json': [{**clip, 'label': 0}],
      'Diving48_V2_test.json': [{**clip, 'label': 2}],
      'rgb/-3B32lodo2M_00059.mp4': '',
    },
  )
  video = 'rgb/-3B32lodo2M_00059.mp4'
  class_names = ['Back 15som 05Twis FREE', 'Inward']
  assert _records(tmp_path, 'diving48') == ({video: 1}, class_names)
  assert _records(tmp_path, 'diving48', version='')[0] == {video: 0}
  with pytest.raises(ValueError, match='a `label` from 0 to 1'):
    _records(tmp_path, 'diving48', split='test')


def test_missing_videos_are_counted_and_too_many_refused(ucf101, caplog):
  (ucf101 / 'UCF-101/Archery/v_Archery_g02_c01.avi').unlink()
  with pytest.raises(FileNotFoundError, match=r'1 of the 2 .*v_Archery_g02'):
    _records(ucf101, 'ucf101')
  with caplog.at_level('WARNING'):
    records, _ = _records(ucf101, 'ucf101', max_missing=0.5)
  assert len(records) == 1
  assert '1 of the 2 videos in the list are not below' in caplog.text


@pytest.mark.parametrize('num_missing', range(1, 30))
def test_the_share_that_an_error_names_is_enough(tmp_path, num_missing):
  (tmp_path / 'a.mp4').touch()
  rows = [
    (name, 0) for name in ['a'] * (30 - num_missing) + ['b'] * num_missing
  ]
  with pytest.raises(FileNotFoundError) as error:
    Published('set', str(tmp_path), rows, [], 0.0)
  share = re.search(r'max_missing=(\S+)', str(error.value))[1]
  Published('set', str(tmp_path), rows, [], float(share))


@pytest.mark.parametrize(
  ('name', 'looked_for'),
  [
    ('ucf101', 'ucfTrainTestlist/classInd.txt'),
    ('hmdb51', 'testTrainMulti_7030_splits, splits'),
    ('kinetics', r'\./train.csv, annotations/train.csv'),
    ('ssv2', 'labels/labels.json'),
    ('diving48', r'\./Diving48_vocab.json'),
  ],
)
def test_a_wrong_layout_says_what_was_looked_for_and_found(
  name, looked_for, tmp_path
):
  _write(tmp_path, {'holiday/beach.mp4': ''})
  with pytest.raises(
    FileNotFoundError, match=f'Looked for .*{looked_for}.*Found holiday/'
  ):
    _records(tmp_path, name)
  with pytest.raises(FileNotFoundError, match='Found no such folder'):
    _records(tmp_path / 'nowhere', name)
  with pytest.raises(ValueError, match=f'{name}: no folder is given'):
    _records('', name)


@pytest.mark.parametrize(
  'name', ['ucf101', 'hmdb51', 'kinetics', 'ssv2', 'diving48']
)
def test_unknown_splits_and_folds_are_named(name, tmp_path):
  with pytest.raises(
    ValueError, match=f"{name}: split='dev' is not one of train"
  ):
    _records(tmp_path, name, split='dev')
  if name in ('ucf101', 'hmdb51'):
    with pytest.raises(ValueError, match='fold=4 is not one of 1, 2, 3'):
      _records(tmp_path, name, fold=4)


def test_stems():
  names = ('a/v_01.avi', 'b.c/x.MP4', 'frames/clip.v2')
  assert [video_stem(name) for name in names] == ['v_01', 'x', 'clip.v2']
