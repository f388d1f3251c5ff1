"""The embedded default dataset as a source of records."""

import pickle

import numpy as np
import pytest

from rvmae_jax.data import decoding
from rvmae_jax.data.sources.moving_sprites import MovingSprites


@pytest.fixture(scope='module')
def sprites(tmp_path_factory):
  cache = tmp_path_factory.mktemp('cache')
  return MovingSprites(num_videos=14, size=16, cache_dir=str(cache))


def test_label_is_the_motion(sprites):
  assert len(sprites) == 14 and len(sprites.class_names) == 12
  assert [r['label'] for r in sprites] == [*range(12), 0, 1]
  assert sprites[-1] == sprites[13]
  first, end, label = sprites.truth(13)['segments'][0]
  assert (first, end, label) == (0, 16, 1)


def test_columns_tell_size_and_pace_in_thirds(sprites):
  # Videos 0 and 12 move to the right, 2 to 5 px a frame of 64.
  for index in (0, 12):
    poses = 64 / 16 * sprites.truth(index)['poses'][:, 0]
    pace = np.diff(poses[:, 0]).max() - 2
    half_size = poses[:, 3].mean() - 9
    assert sprites[index]['columns'] == {
      'pace': ('slow', 'medium', 'fast')[int(pace)],
      'size': ('small', 'medium', 'large')[int(half_size * 3 / 10)],
    }
  paces = {record['columns']['pace'] for record in sprites}
  assert paces == {'slow', 'medium', 'fast'}


def test_record_can_be_opened_and_read(sprites):
  with decoding.open_record(sprites[3]) as reader:
    assert reader.num_frames == 16
    assert reader.read([15, 0]).shape == (2, 16, 16, 3)


def test_source_can_be_pickled(sprites):
  assert pickle.loads(pickle.dumps(sprites))[5] == sprites[5]


def test_untrimmed_video_has_no_single_label(tmp_path):
  source = MovingSprites(
    'val', 1, size=16, num_frames=4, num_segments=1, cache_dir=str(tmp_path)
  )
  assert source[0]['label'] == -1
  assert source.truth(0)['segments'].shape == (1, 3)


def test_unknown_split_lists_the_known(tmp_path):
  with pytest.raises(ValueError, match='probe_train'):
    MovingSprites('training', cache_dir=str(tmp_path))
