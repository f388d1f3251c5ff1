import dataclasses

import numpy as np
import pytest

from rvmae_jax.data import decoding
from rvmae_jax.data.loader import make_loader

_CONFIG = {
  'clip': {'name': 'source_target', 'gap': (2, 20)},
  'crop': {'size': (8, 12)},
  'augment': {},
  'mask': {'name': 'target', 'ratio': 0.5},
  'repeats': 3,
}


def _record(num_frames=40):
  """Frame t has the grey level t."""
  frames = np.zeros((num_frames, 10, 10, 3), np.uint8)
  frames[:] = np.arange(num_frames)[:, None, None, None]
  return {'path': 'grey', 'label': 5, 'frames': frames}


def _load(train, seed=0, record=None, **changes):
  loader = make_loader({**_CONFIG, **changes}, patch_size=4, train=train)
  return loader(record or _record(), np.random.default_rng(seed))


def test_repeats_are_different_clips_of_one_opened_video():
  opened = []

  def open_record(record):
    opened.append(record['path'])
    return decoding.open_record(record)

  loader = make_loader(_CONFIG, patch_size=4, train=True)
  loader = dataclasses.replace(loader, open=open_record)
  rows = loader(_record(), np.random.default_rng(0))
  assert opened == ['grey']
  for key in ('video', 'target', 'target_delta', 'ids_keep'):
    assert len({row.tobytes() for row in rows[key]}) == 3, key


def test_every_row_holds_the_frames_that_its_delta_says():
  rows = _load(train=True)
  assert rows['video'].shape == (3, 4, 8, 12, 3)
  video, target = (rows[key][:, :, 0, 0, 0] for key in ('video', 'target'))
  first = video[:, :1].astype(int)
  np.testing.assert_array_equal(video, first + np.arange(4))
  np.testing.assert_array_equal(target, first + rows['target_delta'])


def test_evaluation_takes_one_clip_whatever_the_seed():
  rows = [_load(train=False, seed=seed) for seed in (0, 1)]
  for key in ('video', 'target', 'target_delta'):
    assert len(rows[0][key]) == 1
    np.testing.assert_array_equal(rows[0][key], rows[1][key])


def test_a_video_without_label_has_label_minus_one():
  assert _load(train=False)['label'].tolist() == [5]
  record = _record()
  del record['label']
  assert _load(train=False, record=record)['label'].tolist() == [-1]


def test_without_mask_there_are_no_ids():
  assert not {'ids_keep', 'ids_mask'} & _load(train=True, mask={}).keys()


def test_blank_rows_are_like_real_ones():
  loader = make_loader(_CONFIG, patch_size=4, train=True)
  blank = loader.blank_rows((8, 12))
  rows = loader(_record(), np.random.default_rng(0))
  assert blank.keys() == rows.keys()
  for key, value in rows.items():
    assert (blank[key].shape, blank[key].dtype) == (value.shape, value.dtype)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'crop': {'size': (8, 10)}}, 'multiples of 4'),
    ({'repeats': 0}, 'data.repeats=0'),
  ],
)
def test_senseless_settings_are_refused(changes, message):
  with pytest.raises(ValueError, match=message):
    _load(train=True, **changes)
