"""Evaluations beside training: what is checked before the first step."""

import json
import pathlib
import types

import pytest
from ml_collections import ConfigDict

from rvmae_jax.config_utils import load_config
from rvmae_jax.evals import Result, build_evals
from rvmae_jax.evals.schedule import ScheduledEvals, check_ready
from rvmae_jax.evals.tables import format_tables

QUICKSTART = pathlib.Path(__file__).parents[2] / 'configs/rvm_quickstart.py'


def _shards(folder, **num_videos):
  """What tools/prepare says of so many videos by split, without the videos."""
  splits = {
    name: {'shards': [{'file': f'{name}-00000', 'num_videos': number}]}
    for name, number in num_videos.items()
  }
  for name, number in num_videos.items():
    (folder / f'{name}-00000').write_bytes(bytes(number))
  manifest = {'class_names': [], 'splits': splits}
  (folder / 'manifest.json').write_text(json.dumps(manifest))
  return str(folder)


def _records(paths):
  """As many as `_shards` was told: a byte for each."""
  return b''.join(pathlib.Path(path).read_bytes() for path in paths)


def _build(shards, **every_steps):
  config = load_config(f'{QUICKSTART}:shards={shards}')
  for alias, number in every_steps.items():
    config.evals[alias].every_steps = number
  return ScheduledEvals(
    config.evals,
    total_steps=config.total_steps,
    run_config=config,
    batch_size=4,
  )


@pytest.mark.parametrize(
  ('splits', 'message'),
  [
    ({}, r"evals\.knn\.test .* no split 'test' .* has train\. .* needs three"),
    ({'test': 1}, r"evals\.reconstruction\.videos .* no split 'val'"),
    ({'val': 0, 'test': 1}, r'reconstruction\.videos .* holds no video'),
  ],
)
def test_a_split_without_videos_is_told_before_the_first_step(
  tmp_path, monkeypatch, splits, message
):
  reader = 'rvmae_jax.data.sources.shards.ArrayRecordDataSource'
  monkeypatch.setattr(reader, _records)
  with pytest.raises(ValueError, match=message):
    _build(_shards(tmp_path, train=2, **splits))


def test_splits_that_are_there_will_do(tmp_path, monkeypatch):
  reader = 'rvmae_jax.data.sources.shards.ArrayRecordDataSource'
  monkeypatch.setattr(reader, _records)
  evaluations = _build(_shards(tmp_path, train=2, val=1, test=1))
  assert evaluations.due(400) == ['reconstruction']
  assert evaluations.due(2400) == ['knn', 'reconstruction']


def test_what_is_never_due_needs_no_videos(tmp_path, monkeypatch):
  reader = 'rvmae_jax.data.sources.shards.ArrayRecordDataSource'
  monkeypatch.setattr(reader, _records)
  evaluations = _build(_shards(tmp_path, train=2, val=1), knn=0)
  assert evaluations.due(1200) == ['reconstruction']
  assert evaluations.due(2400) == ['reconstruction']


def _list(folder, name, *classes):
  """A list with a video of each class."""
  rows = []
  for number, label in enumerate(classes):
    (folder / f'{name}_{number}.mp4').touch()
    rows.append(f'{name}_{number}.mp4,{label}\n')
  (folder / f'{name}.csv').write_text(f'path,label\n{"".join(rows)}')
  path = str(folder / f'{name}.csv')
  return {'name': 'listing', 'path': path, 'split': 'all'}


_PAIRS = ('attentive_probe', 'knn', 'linear_probe', 'retrieval', 'robustness')


@pytest.mark.parametrize('name', ['accuracy', *_PAIRS])
@pytest.mark.parametrize(
  ('classes', 'message'),
  [
    (('jump', 'run', 'walk'), ''),
    (('run', 'walk'), "Label 0 is 'jump' in .* and 'run' in config.evals.x"),
    ((0, 1), ''),
  ],
)
def test_other_classes_are_refused_before_the_first_step(
  name, classes, message, tmp_path
):
  train = _list(tmp_path, 'train', 'jump', 'run', 'walk')
  test = _list(tmp_path, 'test', *classes)
  own = {'own': ['jump', 'run', 'walk']}
  asked = {'sources': {'own': test}}
  entry = {'train': {'sources': {'own': train}}, 'test': asked}
  evaluations = _asked(
    name, **({'data': asked} if name == 'accuracy' else entry)
  )
  if not message:
    check_ready(evaluations, own, 3)
    return
  with pytest.raises(ValueError, match=message):
    check_ready(evaluations, own, 3)


@pytest.mark.parametrize('name', _PAIRS)
@pytest.mark.parametrize('asked', ['all', 'one of them', 'part of one', 'fake'])
def test_nobody_is_asked_about_what_was_learned_from(name, asked, tmp_path):
  own = _list(tmp_path, 'all', 'jump', 'run', 'walk')
  more = _list(tmp_path, 'more', 'jump', 'run', 'walk')
  test = own
  if asked == 'fake':  # Its videos are no files.
    test = own = {'name': 'fake', 'num_videos': 3, 'num_classes': 3}
  elif asked != 'all':
    test = _list(tmp_path, 'test', 'jump', 'run', 'walk')
    with open(test['path'], 'a') as rows:
      rows.write('./all_1.mp4,run\n')
  if asked == 'part of one':
    text = (tmp_path / 'test.csv').read_text().splitlines()
    ends = ['start_s,end_s', '0,1', '0,1', '0,1', '3,5']
    rows = ''.join(f'{row},{end}\n' for row, end in zip(text, ends))
    (tmp_path / 'test.csv').write_text(rows)
  evaluations = _asked(
    name,
    train={'sources': {'a': {**own, 'weight': 2.0}, 'b': more}},
    test={'sources': {'c': test}},
  )
  with pytest.raises(ValueError, match=r'evals\.x would .* in train, too'):
    check_ready(evaluations)


def test_parts_of_one_video_may_be_learned_from_and_asked_about(tmp_path):
  sides = {}
  for side, times in ('train', '0,3'), ('test', '3,6'):
    path = tmp_path / f'{side}.csv'
    path.write_text(f'path,label,start_s,end_s\nlong.mp4,run,{times}\n')
    source = {'name': 'listing', 'path': str(path), 'split': 'all'}
    sides[side] = {'sources': {'own': source}}
  (tmp_path / 'long.mp4').touch()
  check_ready(_asked('knn', **sides))


def _asked(name, **entry):
  clips = {
    'clip': {'name': 'uniform', 'num_frames': 8},
    'crop': {'size': (16, 16)},
  }
  return build_evals(
    {'x': {'name': name, **entry}},
    run_config=ConfigDict({'model': {'patch_size': 8}, 'data': {}}),
    shared=clips,
    batch_size=1,
  )


def test_a_class_that_a_classifier_has_no_place_for_is_refused(tmp_path):
  test = _list(tmp_path, 'test', 'jump', 'run', 'walk', 'zoom')
  evaluations = _asked('accuracy', data={'sources': {'own': test}})
  # Whatever is known of what it has learned.
  for learned in ({}, {'own': ['jump', 'run', 'walk']}):
    with pytest.raises(ValueError, match=r'has 4 .*num_classes=3.*zoom'):
      check_ready(evaluations, learned, 3)


def test_numbers_are_logged_as_tables(monkeypatch, caplog):
  """One line with all of them would be some thousand characters long."""
  metrics = {'gap_1/model/psnr': 17.14, 'gap_1/copy/psnr': 16.31}
  evaluation = types.SimpleNamespace(run=lambda _: Result(metrics, {}))
  module = 'rvmae_jax.evals.schedule'
  monkeypatch.setattr(
    f'{module}.build_evals', lambda *_, **__: {'a': evaluation}
  )
  monkeypatch.setattr(f'{module}.check_ready', lambda *_: None)
  scheduled = ScheduledEvals({'a': {'every_steps': 2}}, total_steps=4)
  with caplog.at_level('INFO'):
    numbers = scheduled.run(None, 2, scheduled.due(2))
  assert numbers == {f'a/{name}': value for name, value in metrics.items()}
  head, *table = caplog.messages[-1].splitlines()
  assert head.startswith('a at step 2 (') and head.endswith(' s):')
  assert table == format_tables(metrics).splitlines()
