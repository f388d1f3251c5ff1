"""Shards that are damaged: one record costs one video, and is named."""

import json

import pytest

from rvmae_jax.data.bad_videos import read_or_replace, readable_records
from rvmae_jax.data.fingerprints import content_sha256
from rvmae_jax.data.readers import VideoError
from rvmae_jax.data.sources.shards import Shards, pack
from rvmae_jax.data.writing import write_whole

_NUM_VIDEOS = 6


@pytest.fixture
def folder(tmp_path):
  """Two shards of three records of about 40 kB."""
  from array_record.python.array_record_module import ArrayRecordWriter

  shards = []
  for number in range(2):
    path = tmp_path / f'train-{number:05d}.array_record'
    writer = ArrayRecordWriter(str(path), 'group_size:1,uncompressed')
    for index in range(3):
      label = 3 * number + index
      video = bytes([label]) * 40_000
      writer.write(
        pack({'path': f'{label}.mp4', 'label': label, 'video': video})
      )
    writer.close()
    shards.append(
      {'file': path.name, 'num_videos': 3, 'sha256': content_sha256(path)}
    )
  splits = {'train': {'num_videos': _NUM_VIDEOS, 'shards': shards}}
  manifest = {'class_names': [], 'splits': splits, 'inputs': []}
  write_whole(tmp_path / 'manifest.json', json.dumps(manifest))
  return tmp_path


def _damage(path, damage):
  content = bytearray(path.read_bytes())
  path.write_bytes(damage(content))


def _flip_a_bit_of_record_4(content):
  content[content.find(bytes([4]) * 100) + 50] ^= 1
  return content


def test_a_damaged_record_is_named_and_replaced(folder, caplog):
  path = folder / 'train-00001.array_record'
  _damage(path, _flip_a_bit_of_record_4)
  source = Shards(str(folder))
  with pytest.raises(VideoError, match=f'{path}, record 4 .*: damaged record'):
    source[4]
  found, num_bad = read_or_replace(source, 4, lambda record: record['path'])
  assert (found, num_bad) == ('5.mp4', 1)
  assert [index for index, _ in readable_records(source)] == [0, 1, 2, 3, 5]
  assert f'{path}, record 4' in caplog.text


def test_a_shard_that_vanishes_later_costs_its_own_videos(folder):
  source = Shards(str(folder))
  (folder / 'train-00000.array_record').unlink()
  with pytest.raises(VideoError, match=r'train-00000\.array_record, record 0'):
    source[0]
  assert source[3]['path'] == '3.mp4'


@pytest.mark.parametrize(
  'damage',
  [
    lambda content: content[: len(content) // 2],
    lambda content: b'',
    lambda content: content[: -(1 << 16)] + bytes(1 << 16),
  ],
  ids=['cut', 'empty', 'no index'],
)
def test_a_shard_without_its_index_is_refused_by_name(folder, damage):
  _damage(folder / 'train-00001.array_record', damage)
  with pytest.raises(ValueError, match=r'train-00001\.array_record is damaged'):
    Shards(str(folder))
