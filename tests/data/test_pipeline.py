"""Tests of the pipeline on videos whose pixels tell their number and frame."""

import sys
import types

import cloudpickle
import jax
import numpy as np
import pytest

from rvmae_jax.batch import check_batch, split_host
from rvmae_jax.data import batching, pipeline
from rvmae_jax.data.bad_videos import BadVideoGuard
from rvmae_jax.data.decoding import VideoError
from rvmae_jax.data.loader import ClipLoader
from rvmae_jax.data.pipeline import batch_spec, make_dataset

VIDEO, FRAME = 0, 1  # colour channels

# Worker processes cannot import this file, so its classes travel as code.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


class NumberedVideos:
  """Frame t of video i has the colour (first + i, t, 0), or noise besides."""

  def __init__(self, num_videos=7, num_frames=60, first=0, bad=(), noise=False):
    self.num_videos = num_videos
    self.num_frames = num_frames
    self.first = first
    self.bad = bad
    self.noise = noise

  def __len__(self):
    return self.num_videos

  def __getitem__(self, index):
    record = {'path': f'no_such_file_{index}.mp4', 'label': self.first + index}
    if index not in self.bad:
      frames = np.zeros((self.num_frames, 8, 8, 3), np.uint8)
      frames[..., VIDEO] = self.first + index
      frames[..., FRAME] = np.arange(self.num_frames)[:, None, None]
      if self.noise:
        frames[:] = np.random.default_rng(index).integers(0, 256, (8, 8, 3))
      record['frames'] = frames
    return record


@pytest.fixture(autouse=True)
def _numbered_source(monkeypatch):
  table = types.SimpleNamespace(build=lambda config: NumberedVideos(**config))
  monkeypatch.setattr(pipeline, 'SOURCES', table)


def _config(**changes):
  return {
    'sources': {'numbered': {}},
    'clip': {'name': 'source_target'},
    'crop': {'size': (8, 8)},
    'mask': {'name': 'target', 'ratio': 0.75},
    'num_threads': 2,
    **changes,
  }


def _dataset(config=None, *, batch_size=3, train=True, seed=0, **arguments):
  return make_dataset(
    config or _config(),
    seed=seed,
    batch_size=batch_size,
    train=train,
    patch_size=2,
    **arguments,
  )


def _take(dataset, num_batches):
  iterator = iter(dataset)
  return [next(iterator) for _ in range(num_batches)]


def _labels(batches):
  return np.concatenate([batch['label'] for batch in batches]).tolist()


def _assert_equal(batches, others):
  assert len(batches) == len(others)
  for batch, other in zip(batches, others):
    assert batch.keys() == other.keys()
    for key in batch:
      np.testing.assert_array_equal(batch[key], other[key], err_msg=key)


# What is in a batch.

_TWO_VIEWS = {
  'name': 'two_views',
  'clip': {
    'name': 'playback',
    'skip': 0.5,
    'clip': {'name': 'uniform', 'num_frames': 5},
  },
}


@pytest.mark.parametrize('train', [True, False])
@pytest.mark.parametrize(
  'changes',
  [
    {},
    {'repeats': 3},
    {'clip': {'name': 'uniform', 'num_frames': 5}, 'mask': None},
    {'crop': {'size': (4, 16)}, 'mask': {}},
    {'clip': _TWO_VIEWS, 'augment': {'blur': {}}, 'mask': {}},
  ],
)
def test_batches_have_the_shapes_that_batch_spec_foretells(changes, train):
  config = _config(**changes)
  batch = _take(_dataset(config, train=train), 1)[0]
  check_batch(batch)
  device, host = split_host(batch)
  spec = batch_spec(config, 3, 2, train=train)
  shapes = {
    key: jax.ShapeDtypeStruct(value.shape, value.dtype)
    for key, value in device.items()
  }
  assert shapes == spec
  assert host.keys() == {'host/bad_videos', 'host/source', 'host/record'}
  assert ('valid' in batch) == (not train)


def test_frames_are_those_of_the_label_and_the_delta():
  for batch in _take(_dataset(), 5):
    video, target = batch['video'], batch['target']
    label = batch['label'][:, None, None, None]
    assert (video[..., VIDEO] == label).all()
    assert (target[..., VIDEO] == label).all()
    frame, target_frame = video[:, :, 0, 0, FRAME], target[:, :, 0, 0, FRAME]
    first = frame[:, :1].astype(int)
    np.testing.assert_array_equal(frame, first + np.arange(4))
    np.testing.assert_array_equal(target_frame, first + batch['target_delta'])


def test_source_and_target_frames_share_crop_and_flip():
  config = _config(sources={'numbered': {'noise': True}})
  for batch in _take(_dataset(config), 5):
    frames = np.concatenate([batch['video'], batch['target']], axis=1)
    assert (frames == frames[:, :1]).all()
    assert frames.std() > 10


def test_masks_differ_between_rows_frames_and_epochs():
  config = _config(crop={'size': (32, 32)})
  masks = [
    ids for batch in _take(_dataset(config), 7) for ids in batch['ids_keep']
  ]
  frames = np.concatenate(masks)  # 7 batches x 3 rows x 4 frames, [84, 64]
  assert len({ids.tobytes() for ids in frames}) == 84


# Order: shuffled, epoch-exact, mixed by weights.


def test_an_epoch_holds_every_video_once():
  labels = _labels(_take(_dataset(), 14))
  epochs = [labels[start : start + 7] for start in range(0, 42, 7)]
  for epoch in epochs:
    assert sorted(epoch) == list(range(7))
  assert len({tuple(epoch) for epoch in epochs}) >= 5


def test_sources_are_mixed_by_weight_and_epoch_exact_each():
  sources = {
    'many': {'num_videos': 10, 'weight': 3},
    'few': {'num_videos': 5, 'first': 100, 'weight': 1},
  }
  labels = _labels(_take(_dataset(_config(sources=sources), batch_size=8), 5))
  many = [label for label in labels if label < 100]
  few = [label - 100 for label in labels if label >= 100]
  assert (len(many), len(few)) == (30, 10)
  for start in (0, 10, 20):
    assert sorted(many[start : start + 10]) == list(range(10))
  for start in (0, 5):
    assert sorted(few[start : start + 5]) == list(range(5))


def test_the_seed_decides():
  batches = _take(_dataset(seed=1), 4)
  _assert_equal(batches, _take(_dataset(seed=1), 4))
  assert _labels(batches) != _labels(_take(_dataset(seed=2), 4))


def test_repeats_keep_epochs_exact():
  batches = _take(_dataset(_config(repeats=2), batch_size=4), 7)
  labels = np.array(_labels(batches)).reshape(-1, 2)
  assert (labels[:, 0] == labels[:, 1]).all()
  assert sorted(labels[:7, 0]) == sorted(labels[7:, 0]) == list(range(7))


# The same batches whoever reads them.


@pytest.mark.parametrize('process_count', [2, 3])
def test_processes_share_one_global_batch(process_count):
  sources = {'a': {}, 'b': {'num_videos': 4, 'first': 100}}
  config = _config(sources=sources, repeats=2)
  whole = _take(_dataset(config, batch_size=4 * process_count), 4)
  parts = [
    _take(
      _dataset(
        config,
        batch_size=4,
        process_index=index,
        process_count=process_count,
      ),
      4,
    )
    for index in range(process_count)
  ]
  together = [
    {key: np.concatenate([p[key] for p in part]) for key in part[0]}
    for part in zip(*parts)
  ]
  _assert_equal(whole, together)


def test_a_run_may_be_resumed_with_more_processes():
  alone = iter(_dataset(batch_size=4))
  for _ in range(2):
    next(alone)
  pair = [
    iter(_dataset(batch_size=2, process_index=index, process_count=2))
    for index in (0, 1)
  ]
  for process in pair:
    process.set_state(alone.get_state())
  expected = next(alone)['label']
  labels = np.concatenate([next(process)['label'] for process in pair])
  np.testing.assert_array_equal(labels, expected)


def _joined(batches):
  return {
    key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]
  }


@pytest.mark.parametrize('batch_size', [2, 3, 8])
def test_a_run_may_be_resumed_with_batches_of_another_size(batch_size):
  """It goes on with the record that would be next: none is lost or doubled."""
  whole = _joined(_take(_dataset(batch_size=4), 6))
  before = iter(_dataset(batch_size=4))
  for _ in range(2):
    next(before)
  after = iter(_dataset(batch_size=batch_size))
  after.set_state(before.get_state())
  found = _joined([next(after) for _ in range(2)])
  end = 8 + 2 * batch_size
  _assert_equal([found], [{key: rows[8:end] for key, rows in whole.items()}])
  assert after.get_state() == {'next_record': end}


def test_a_run_may_be_resumed_with_more_clips_of_each_video():
  once = iter(_dataset(batch_size=4))
  next(once)
  twice = iter(_dataset(_config(repeats=2), batch_size=4))
  twice.set_state(once.get_state())
  found = np.concatenate([next(twice)['label'] for _ in range(2)])
  np.testing.assert_array_equal(found, np.repeat(next(once)['label'], 2))


@pytest.mark.parametrize('num_threads', [0, 1, 5])
def test_threads_do_not_change_batches(num_threads):
  config = _config(num_threads=num_threads)
  _assert_equal(_take(_dataset(config), 6), _take(_dataset(), 6))


def test_resumes_in_the_middle_of_an_epoch():
  iterator = iter(_dataset())
  for _ in range(3):  # 9 rows: the second epoch has begun
    next(iterator)
  state = iterator.get_state()
  assert state == {'next_record': 9}
  expected = [next(iterator) for _ in range(4)]
  for resumed in (iter(_dataset()), iterator):
    resumed.set_state(state)
    assert resumed.get_state() == state
    _assert_equal([next(resumed) for _ in range(4)], expected)


def test_worker_processes_change_nothing_not_even_when_resumed():
  expected = _take(_dataset(), 5)
  threads = iter(_dataset())
  next(threads)
  with_workers = _config(num_workers=2)
  workers = iter(_dataset(with_workers))
  workers.set_state(threads.get_state())
  _assert_equal([next(workers) for _ in range(2)], expected[1:3])
  threads.set_state(workers.get_state())
  workers.close()
  _assert_equal([next(threads) for _ in range(2)], expected[3:])
  # One pass of seven videos, which two workers cannot share evenly.
  _assert_equal(
    list(_dataset(with_workers, train=False)), list(_dataset(train=False))
  )


# Evaluation.


def test_evaluation_is_one_pass_in_order():
  sources = {'a': {'num_videos': 4}, 'b': {'num_videos': 3, 'first': 100}}
  dataset = _dataset(_config(sources=sources), train=False)
  batches = list(dataset)
  labels, valid = (
    _labels(batches),
    np.concatenate([b['valid'] for b in batches]),
  )
  assert labels[:7] == [0, 1, 2, 3, 100, 101, 102]
  np.testing.assert_array_equal(valid, [True] * 7 + [False] * 2)
  _assert_equal(list(dataset), batches)
  source, record = (
    np.concatenate([b[f'host/{key}'] for b in batches])[:7]
    for key in ('source', 'record')
  )
  assert source.tolist() == [0] * 4 + [1] * 3
  assert record.tolist() == [0, 1, 2, 3, 0, 1, 2]
  # Gaps 4 to 48 spread evenly; 52 of 60 frames; starts 0 to 8, the middle is 4.
  for batch in batches:
    assert (batch['target_delta'][batch['valid']] == [7, 22, 36, 51]).all()
    assert (batch['video'][batch['valid'], 0, 0, 0, FRAME] == 4).all()


def test_evaluation_of_some_videos_spreads_them_evenly():
  """Of seven videos three: 0, 7 // 3 and 14 // 3; of more than all, all."""
  for max_videos, want in ((3, [0, 2, 4]), (9, list(range(7)))):
    dataset = _dataset(_config(max_videos=max_videos), train=False)
    labels = [b['label'][b['valid']] for b in dataset]
    assert np.concatenate(labels).tolist() == want


@pytest.mark.parametrize('batch_size', [2, 4])
def test_processes_share_the_rows_of_an_evaluation(batch_size):
  """Seven videos: the last batches are filled up, with black rows."""
  whole = list(_dataset(train=False, batch_size=2 * batch_size))
  parts = [
    list(
      _dataset(
        train=False,
        batch_size=batch_size,
        process_index=process,
        process_count=2,
      )
    )
    for process in range(2)
  ]
  _assert_equal(
    whole,
    [
      {key: np.concatenate([one[key], other[key]]) for key in one}
      for one, other in zip(*parts, strict=True)
    ],
  )


# Bad videos.


def test_bad_videos_are_replaced_by_the_next_and_counted():
  config = _config(sources={'numbered': {'bad': (2, 3)}})
  batches = _take(_dataset(config), 7)
  counts = np.concatenate([batch['host/bad_videos'] for batch in batches])
  rows = list(zip(_labels(batches), counts.tolist()))
  for start in (0, 7, 14):
    assert sorted(rows[start : start + 7]) == [
      (0, 0), (1, 0), (4, 0), (4, 1), (4, 2), (5, 0), (6, 0)
    ]  # fmt: skip


def test_bad_videos_are_not_valid_in_evaluation():
  config = _config(sources={'numbered': {'bad': (2,), 'num_videos': 3}})
  (batch,) = _dataset(config, train=False)
  assert batch['label'].tolist() == [0, 1, 0]
  assert batch['valid'].tolist() == [True, True, False]


def test_nothing_but_bad_videos_is_an_error():
  config = _config(sources={'numbered': {'bad': range(7)}})
  with pytest.raises(VideoError, match='no_such_file'):
    _take(_dataset(config), 1)


# Settings that make no sense.


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'sources': {}}, 'needs data.sources'),
    (
      {'maks': {'name': 'target'}},
      "Unknown key data.maks. Did you mean 'mask'",
    ),
    ({'crop': {'size': (8, 8), 'rato': 1}}, "'rato' .*. Did you mean 'ratio'"),
    ({'augment': {'blurr': {}}}, "augmentation 'blurr'. Did you mean 'blur'"),
    ({'crop': {'flip': False}}, r'data.crop.size must be \(height, width\)'),
    ({'crop': {'size': (8, 9)}}, 'multiples of 2'),
    ({'repeats': 2}, r'batch of 3 rows .* data.repeats=2'),
    ({'repeats': 0}, 'data.repeats=0'),
    ({'num_workers': -1}, 'data.num_workers=-1 must not be negative'),
    ({'max_bad_share': 2}, r'data.max_bad_share=2 must lie in \[0, 1\]'),
    ({'sources': {'a': {'weight': 0}}}, 'data.sources.a.weight=0'),
    ({'sources': {'a': {'num_videos': 0}}}, 'data.sources.a holds no video'),
    (
      {'sources': {'a': {'path': 'gs://bucket/videos'}}},
      "data.sources.a.path='gs://bucket/videos': .* Mount it",
    ),
    ({'clip': {'name': 'uniform', 'num_frames': 4}}, 'hides target frames'),
    ({'mask': {'name': 'target', 'ratio': 0.99}}, 'Mask ratio 0.99'),
    ({'clip': {'name': 'sorce_target'}}, "Did you mean 'source_target'"),
  ],
)
def test_senseless_settings_are_refused(changes, message):
  with pytest.raises(ValueError, match=message):
    _dataset(_config(**changes))


# Real videos.


@pytest.fixture
def real_videos(monkeypatch, shared_dir):
  """Makes a config of real files; file i has label i."""

  def make(paths, **changes):
    records = [{'path': str(p), 'label': i} for i, p in enumerate(paths)]
    table = types.SimpleNamespace(build=lambda config: records)
    monkeypatch.setattr(pipeline, 'SOURCES', table)
    size = {'size': (32, 48)}
    return _config(sources={'real': {'name': 'files'}}, crop=size, **changes)

  return make


@pytest.mark.parametrize('step_s', [0.0, 0.1])
def test_edge_cases_are_read_or_replaced(shared_dir, real_videos, step_s):
  folder = shared_dir / 'data/edge_cases'
  paths = sorted(path for path in folder.iterdir() if path.is_file())
  clip = {'name': 'source_target', 'step_s': step_s}
  batches = list(_dataset(real_videos(paths, clip=clip), train=False))
  valid = np.concatenate([batch['valid'] for batch in batches])[: len(paths)]
  bad = {path.name for path, is_valid in zip(paths, valid) if not is_valid}
  stem = 'trikonasana_20250127135303_'
  # Decoders may differ in what they make of the flipped bits.
  assert bad - {f'{stem}bitflips.mp4'} == {
    'text_as_video.mp4',
    'zero_bytes.mp4',
    f'{stem}audio_only.mp4',
    f'{stem}truncated_half.mp4',
    f'{stem}truncated_97pct.mp4',
  }
  for batch in batches:
    check_batch(batch)


def test_too_many_bad_videos_stop_training(shared_dir, real_videos):
  paths = sorted((shared_dir / 'data/edge_cases').glob('*.mp4'))
  iterator = iter(_dataset(real_videos(paths)))
  guard = BadVideoGuard(max_share=0.05, min_rows=30)
  with pytest.raises(RuntimeError, match='cannot be decoded'):
    for _ in range(10):
      guard.update(next(iterator)['host/bad_videos'])
  assert guard.num_rows == 30


def test_cut_off_metadata_is_read(shared_dir, real_videos):
  paths = sorted((shared_dir / 'data/wlasl15').rglob('*.mp4'))
  assert len(paths) == 68
  batches = list(_dataset(real_videos(paths), train=False, batch_size=17))
  assert all(batch['valid'].all() for batch in batches)
  assert _labels(batches) == list(range(68))


def test_labels_that_the_head_has_no_place_for_are_refused(monkeypatch):
  monkeypatch.setattr(NumberedVideos, 'class_names', list('abc'), raising=False)
  settings = dict(seed=0, batch_size=2, train=True, patch_size=4)
  make_dataset(_config(), **settings, num_classes=3)
  with pytest.raises(ValueError, match=r'numbered has 3 .*num_classes=2: .* 3'):
    make_dataset(_config(), **settings, num_classes=2)


def test_labels_are_there_before_they_are_learned(monkeypatch):
  monkeypatch.setattr(NumberedVideos, 'class_names', [], raising=False)
  config = _config()
  monkeypatch.setattr(
    NumberedVideos,
    '__getitem__',
    lambda self, index: {'path': 'a.mp4', 'label': -1},
  )
  settings = dict(seed=0, batch_size=2, train=True, patch_size=4)
  make_dataset(config, **settings)
  with pytest.raises(ValueError, match=r'no video of data\.sources\.numbered'):
    make_dataset(config, **settings, num_classes=3)


@pytest.mark.parametrize('train', [True, False])
def test_the_first_batch_is_checked_against_the_contract(train, monkeypatch):
  checked = []
  monkeypatch.setattr(batching, 'check_batch', checked.append)
  batches = iter(_dataset(train=train))
  first, _ = next(batches), next(batches)
  assert len(checked) == 1 and checked[0] is first

  def extra(self, *unused):
    return {**rows(self, *unused), 'colour': np.zeros(1, np.int32)}

  monkeypatch.undo()
  rows = ClipLoader._row
  monkeypatch.setattr(ClipLoader, '_row', extra)
  table = types.SimpleNamespace(build=lambda config: NumberedVideos(**config))
  monkeypatch.setattr(pipeline, 'SOURCES', table)
  with pytest.raises(ValueError, match="'colour' is not in the contract"):
    next(iter(_dataset(train=train)))
