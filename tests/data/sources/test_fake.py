"""Random videos that are the same every time."""

import numpy as np
import pytest

from rvmae_jax.data.decoding import open_record
from rvmae_jax.data.sources import SOURCES


def test_frames_depend_on_seed_split_and_index_alone():
  def frames(index, **changes):
    config = {'name': 'fake', 'num_frames': 3, 'size': (4, 6), **changes}
    with open_record(SOURCES.build(config)[index]) as reader:
      return reader.read([0, 1, 2])

  assert frames(5).shape == (3, 4, 6, 3)
  np.testing.assert_array_equal(frames(5), frames(5, num_videos=9))
  for other in (frames(6), frames(5, seed=1), frames(5, split='val')):
    assert (other != frames(5)).mean() > 0.9


def test_it_ends():
  source = SOURCES.build({'name': 'fake', 'num_videos': 3})
  assert [source[i]['label'] for i in range(3)] == [0, 1, 2]
  with pytest.raises(IndexError, match='no video 3 of 3'):
    source[3]
