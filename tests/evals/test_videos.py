"""Changing a data config for an evaluation."""

import pytest
from ml_collections import ConfigDict

from rvmae_jax.evals import build_eval
from rvmae_jax.evals.videos import Videos, override

_BASE = {
  'sources': {'own': {'name': 'fake', 'split': 'train', 'num_videos': 3}},
  'clip': {'name': 'source_target', 'gap': (1, 4)},
  'mask': {'name': 'target', 'ratio': 0.9},
}


def test_entries_merge_and_the_base_stays_as_it_was():
  base = ConfigDict(_BASE)
  changed = override(base, {'sources': {'own': {'split': 'val'}}})
  assert changed.sources.own.to_dict() == {
    'name': 'fake',
    'split': 'val',
    'num_videos': 3,
  }
  assert changed.clip.gap == (1, 4)
  assert base.to_dict() == _BASE


def test_none_removes_and_another_name_replaces():
  changes = {'mask': None, 'clip': {'name': 'uniform', 'num_frames': 8}}
  changed = override(ConfigDict(_BASE), ConfigDict(changes))
  assert 'mask' not in changed
  assert changed.clip.to_dict() == {'name': 'uniform', 'num_frames': 8}


def test_a_wrong_setting_is_answered_with_the_near_one():
  config = {'name': 'reconstruction', 'every_steps': 5, 'num_batch': 2}
  with pytest.raises(ValueError, match=r"'num_batch'.*'num_batches'"):
    build_eval(config, data=ConfigDict(_BASE), patch_size=8, batch_size=2)


def test_rows_lead_back_to_their_records():
  data = override(
    ConfigDict(_BASE),
    {
      'clip': {'name': 'uniform', 'num_frames': 2},
      'crop': {'size': (16, 16)},
      'mask': None,
      'max_videos': 2,
    },
  )
  videos = Videos(data, patch_size=8, batch_size=2)
  (batch,) = videos.batches()
  labels = [
    videos.record(source, record)['label']
    for source, record in zip(batch['host/source'], batch['host/record'])
  ]
  # Of three videos two, evenly spread.
  assert batch['host/record'].tolist() == [0, 1]
  assert labels == batch['label'].tolist()


def test_sources_that_a_change_does_not_name_are_left_out():
  """Else a probe would learn from videos that it is asked about."""
  other = {'name': 'fake', 'num_videos': 5}
  base = ConfigDict(_BASE | {'sources': {**_BASE['sources'], 'other': other}})
  changed = override(base, {'sources': {'own': {'split': 'val'}}})
  assert list(changed.sources) == ['own']
  assert set(override(base, {'mask': None}).sources) == {'own', 'other'}
  assert list(override(base, {'sources': {'own': None}}).sources) == ['other']


def test_a_source_that_is_not_there_cannot_be_changed():
  with pytest.raises(ValueError, match=r"no source 'videos' .* 'own'.*source="):
    override(ConfigDict(_BASE), {'sources': {'videos': {'split': 'val'}}})


def test_other_labels_or_videos_are_other_videos(tmp_path):
  digests = []
  for name in 'ab':
    (tmp_path / f'{name}.mp4').touch()
  for rows in ('a.mp4,0', 'a.mp4,1', 'a.mp4,0\nb.mp4,0', 'a.mp4,0'):
    listing = tmp_path / 'list.csv'
    listing.write_text(f'path,label\n{rows}\n')
    source = {'name': 'listing', 'path': str(listing), 'split': 'all'}
    data = ConfigDict({'sources': {'own': source}})
    digests.append(Videos(data, patch_size=8, batch_size=2).digest())
  assert len(set(digests)) == 3 and digests[0] == digests[3]
