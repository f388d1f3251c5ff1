"""Folders that are filled by several starts: settings stay what they were."""

import pytest

from rvmae_jax.tools.outputs import check_settings


def test_the_same_settings_go_on_and_others_are_named(tmp_path):
  path = tmp_path / 'settings.json'
  for _ in range(2):
    check_settings(path, {'size': (32, 32), 'crf': 20})
  with pytest.raises(ValueError, match='gop: None then, 4 now, crf: 20 then'):
    check_settings(path, {'size': (32, 32), 'gop': 4})


def test_a_damaged_file_is_named(tmp_path):
  path = tmp_path / 'settings.json'
  path.write_text('{"crf": 2')
  with pytest.raises(ValueError, match=r'settings\.json is not valid JSON'):
    check_settings(path, {'crf': 20})
