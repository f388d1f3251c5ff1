"""Manifests and records that are none are told as such."""

import json

import msgpack
import pytest

from rvmae_jax.data.sources import shards

VIDEO = {'path': 'a.mp4', 'label': 3, 'video': b'video'}
IMAGES = {'path': 'a', 'label': -1, 'jpegs': [b'1'], 'timestamps_s': [0.0]}


@pytest.mark.parametrize('record', [VIDEO, IMAGES], ids=['video', 'images'])
def test_records_come_back(record):
  assert shards.unpack(shards.pack(record)) == record


@pytest.mark.parametrize(
  'record',
  [
    3,
    {},
    VIDEO | {'path': None},
    VIDEO | {'label': 'run'},
    VIDEO | {'video': 'text'},
    IMAGES | {'jpegs': 'text'},
    IMAGES | {'jpegs': []},
    IMAGES | {'timestamps_s': [0.0, 1.0]},
    IMAGES | {'timestamps_s': ['soon']},
  ],
  ids=str,
)
def test_what_is_no_record_is_refused(record):
  with pytest.raises((ValueError, TypeError)):
    shards.unpack(msgpack.packb(record))


@pytest.mark.parametrize(
  'manifest',
  [
    {'splits': {}},
    {'splits': [], 'class_names': []},
    {'splits': {'train': {'shards': [{'file': 3}]}}, 'class_names': []},
    {'splits': {'train': {'shards': [{'file': 'a'}]}}, 'class_names': []},
    {'splits': {}, 'class_names': [1]},
  ],
  ids=str,
)
def test_a_damaged_manifest_is_named(manifest, tmp_path):
  (tmp_path / shards.MANIFEST).write_text(json.dumps(manifest))
  with pytest.raises(ValueError, match=shards.MANIFEST):
    shards.read_manifest(str(tmp_path))
