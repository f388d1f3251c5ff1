"""What a text on the command line means."""

import pytest

from rvmae_jax.tools.inputs import open_source, source_config


def test_folders_lists_and_shards_are_told_apart(tmp_path):
  folder, listing = str(tmp_path), tmp_path / 'list.csv'
  listing.write_text('path\na.mp4\n')
  everything = {'name': 'folder', 'path': folder, 'split': 'all'}
  assert source_config(folder) == everything
  assert source_config(str(listing), 'val') == {
    'name': 'listing',
    'path': str(listing),
    'split': 'val',
  }
  (tmp_path / 'manifest.json').touch()
  assert source_config(folder) == {'name': 'shards', 'path': folder}


def test_sources_take_their_settings():
  text = 'fake:num_videos=3,size=8'
  assert source_config(text, 'test') == {
    'name': 'fake',
    'split': 'test',
    'num_videos': 3,
    'size': 8,
  }
  assert source_config('ucf101:path=DIR,fold=2')['path'] == 'DIR'
  assert source_config(r'ucf101:path=a\,b,fold=2')['path'] == 'a,b'
  assert source_config('ucf101:path=2019')['path'] == '2019'
  assert source_config('tfds:download=false')['download'] is False
  assert len(open_source('fake:num_videos=3')) == 3


def test_what_is_nothing_is_named():
  with pytest.raises(
    ValueError, match=r"'nowhere' is neither .* known sources"
  ):
    source_config('nowhere')
  with pytest.raises(
    ValueError, match=r"split is given twice: 'val', and 'tes"
  ):
    source_config('fake:split=test', 'val')
  with pytest.raises(
    ValueError, match=r"'fold' in .* must be `name=value`.*,'"
  ):
    source_config('ucf101:fold')
