import dataclasses

import numpy as np
import pytest

from rvmae_jax.batch import check_batch
from rvmae_jax.data import decoding
from rvmae_jax.data.loader import make_loader

_CONFIG = {
  'clip': {'name': 'source_target', 'gap': (2, 20)},
  'crop': {'size': (8, 12)},
  'augment': {},
  'augment_view2': {},
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


_TWO_VIEWS = {
  'clip': {
    'name': 'two_views',
    'clip': {'name': 'uniform', 'num_frames': 4, 'stride': 2},
  },
  'mask': {},
}


def test_each_view_is_augmented_by_its_own_draw_for_all_frames():
  record = _record()
  picture = np.random.default_rng(0).integers(0, 256, (10, 10, 3), np.uint8)
  record['frames'][:] = picture
  rows = _load(train=True, record=record, **_TWO_VIEWS)
  check_batch(rows)
  clips = [clip for key in ('video', 'view2') for clip in rows[key]]
  for clip in clips:
    np.testing.assert_array_equal(clip, np.repeat(clip[:1], 4, axis=0))
  assert len({clip.tobytes() for clip in clips}) == 6


def test_the_second_view_may_be_augmented_in_another_way():
  solarise = {'solarise': {'threshold': 0, 'probability': 1.0}}
  rows = _load(train=True, augment_view2=solarise, **_TWO_VIEWS)
  # Frames are as grey as their number, below 40; inverted ones are above 215.
  assert rows['video'].max() < 40
  assert rows['view2'].min() > 215
  rows = _load(train=True, augment=solarise, **_TWO_VIEWS)
  assert min(rows['video'].min(), rows['view2'].min()) > 215


def test_evaluation_gives_the_same_plain_view_twice():
  augment = {'solarise': {'threshold': 0, 'probability': 1.0}}
  rows = _load(train=False, augment=augment, **_TWO_VIEWS)
  np.testing.assert_array_equal(rows['video'], rows['view2'])
  assert rows['video'].max() < 40


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
    (
      {
        'clip': {'name': 'uniform', 'num_frames': 4},
        'mask': {'name': 'motion_guided', 'ratio': 0.5},
        'augment': {'rand_augment': {}},
      },
      'geometric=False',
    ),
  ],
)
def test_senseless_settings_are_refused(changes, message):
  with pytest.raises(ValueError, match=message):
    _load(train=True, **changes)


# Clips whose tokens are tubelets.

_CLIP = {'clip': {'name': 'uniform', 'num_frames': 6}}


def test_masks_of_clips_are_over_slots_rows_and_columns():
  config = {**_CONFIG, **_CLIP, 'mask': {'name': 'tube', 'ratio': 0.5}}
  loader = make_loader(config, patch_size=4, tubelet_size=2, train=True)
  rows = loader(_record(), np.random.default_rng(0))
  # 3 slots of 2 x 3 patches, of which 3 are shown.
  assert rows['ids_keep'].shape == rows['ids_mask'].shape == (3, 9)
  both = np.concatenate([rows['ids_keep'], rows['ids_mask']], axis=1)
  np.testing.assert_array_equal(np.sort(both), np.tile(np.arange(18), (3, 1)))


def test_frames_that_do_not_make_whole_tubelets_are_refused():
  config = {**_CONFIG, **_CLIP, 'mask': {}}
  with pytest.raises(ValueError, match=r'6 frames, .* tubelets of 4 frames'):
    make_loader(config, patch_size=4, tubelet_size=4, train=True)
