"""What an evaluation reads: resolved from its config and a run, and read."""

import numpy as np
import pytest
from ml_collections import ConfigDict

from rvmae_jax.evals import build_eval
from rvmae_jax.evals.videos import Videos

_RUN = {
  'sources': {'own': {'name': 'fake', 'split': 'train', 'num_videos': 3}},
  'clip': {'name': 'uniform', 'num_frames': 4, 'stride': 4},
  'crop': {'size': (16, 16), 'name': 'random_resized'},
  'mask': {'name': 'tube', 'ratio': 0.5},
}


def _build(entry, shared=None, run=_RUN):
  return build_eval(
    entry,
    run_config=ConfigDict(
      {'model': {'patch_size': 8, 'tubelet_size': 2}, 'data': run}
    ),
    shared=shared,
    batch_size=2,
  )


def _fake(num_videos, **changes):
  """So many videos, in batches of two clips of two frames."""
  settings = {
    'sources': {'own': {'name': 'fake', 'num_videos': num_videos}},
    'clip': {'name': 'uniform', 'num_frames': 2},
    'crop': {'size': (16, 16)},
    'patch_size': 8,
    'batch_size': 2,
  }
  return Videos(**{**settings, **changes})


_KNN = {
  'name': 'knn',
  'data': {'clip': {'name': 'uniform', 'num_frames': 8}, 'crop': 'run'},
  'train': {'sources': {'own': {'name': 'run'}}},
  'test': {'sources': {'own': {'name': 'run', 'split': 'val'}}},
}


def test_nothing_of_the_run_is_read_but_what_is_asked_for_by_name():
  train, test = (getattr(_build(_KNN), side) for side in ('train', 'test'))
  assert train.sources == _RUN['sources']
  assert test.sources == {
    'own': {'name': 'fake', 'split': 'val', 'num_videos': 3}
  }
  for videos in (train, test):
    # Whole: the run's stride stays with the run.
    assert videos.clip == {'name': 'uniform', 'num_frames': 8}
    assert videos.crop == _RUN['crop'] and videos.mask == {}
    assert (videos.patch_size, videos.tubelet_size) == (8, 2)


def test_keys_of_a_side_come_before_those_of_the_entry_and_the_shared_ones():
  shared = {'max_videos': 1, 'crop': {'size': (8, 8)}, 'mask': 'run'}
  data = {**_KNN['data'], 'max_videos': 2}
  test = {**_KNN['test'], 'max_videos': 3}
  found = _build({**_KNN, 'data': data, 'test': test}, shared)
  assert (found.train.max_videos, found.test.max_videos) == (2, 3)
  assert found.test.size == (16, 16)
  # Shared by evaluations of which some hide nothing.
  assert found.train.mask == {}


# Of an evaluation that reads sources where it is given no dataset.
_DATASET = {'name': 'long_video', 'dataset': {'name': 'sprites'}}


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'num_batch': 2}, r"'num_batch'"),
    ({'data': {**_KNN['data'], 'mask': 'run'}}, r"data\.mask='run' does noth"),
    ({'test': {'repeats': 2}}, r'data\.repeats=2 does nothing'),
    ({'test': {'sources': {'other': {'name': 'run'}}}}, "no source 'other';"),
    ({'data': {'clip': 'run'}}, r'The run has no data\.clip'),
    (_DATASET | {'data': {'sources': {}}}, r'data\.sources={} does nothing'),
  ],
)
def test_what_does_nothing_or_is_not_there_is_refused(change, message):
  run = {k: v for k, v in _RUN.items() if k != 'clip'}
  with pytest.raises(ValueError, match=message):
    _build(_KNN | change, run=run)


def test_shared_keys_count_or_are_refused():
  found = _build(_KNN, {'num_threads': 3})
  assert (found.train.num_threads, found.test.num_threads) == (3, 3)
  with pytest.raises(ValueError, match=r"'crops'.*'crop'"):
    _build(_KNN, {'crops': 'run'})


def test_a_side_that_is_missing_is_asked_for():
  with pytest.raises(ValueError, match="'knn' needs 'test'"):
    _build({k: v for k, v in _KNN.items() if k != 'test'})


def test_rows_lead_back_to_their_records():
  videos = _fake(3, max_videos=2)
  (batch,) = videos.batches()
  labels = [
    videos.built[source][record]['label']
    for source, record in zip(batch['host/source'], batch['host/record'])
  ]
  # Of three videos two, evenly spread.
  assert batch['host/record'].tolist() == [0, 1]
  assert labels == batch['label'].tolist()
  np.testing.assert_array_equal(videos.clip_at(0, 1), batch['video'][1])


def test_labelled_places_are_those_that_a_pass_reads():
  videos = _fake(9, max_videos=3, batch_size=3)
  (batch,) = videos.batches()
  assert batch['host/record'].tolist() == [0, 3, 6]
  assert videos.labelled_places().tolist() == [[0, 0], [0, 3], [0, 6]]


def test_iterators_are_closed_when_batches_are_cut_short(monkeypatch):
  closed = []
  iterator = 'rvmae_jax.data.batching.BatchIterator'
  # They close themselves too, sooner or later; here it is to be at once.
  monkeypatch.delattr(f'{iterator}.__del__')
  monkeypatch.setattr(f'{iterator}.close', lambda self: closed.append(True))
  videos = _fake(6)
  assert len(list(videos.batches(1))) == 1
  next(videos.training_batches())
  assert len(closed) == 2


@pytest.mark.parametrize(
  ('num_videos', 'num_batches', 'train', 'threads_and_workers'),
  [
    (299, 0, False, (5, 0)),
    (300, 0, False, (3, 5)),
    # 149 batches of two videos.
    (300, 149, False, (5, 0)),
    (300, 150, False, (3, 5)),
    # Without end, however few there are.
    (2, 0, True, (3, 5)),
    (2, 149, True, (5, 0)),
  ],
)
def test_passes_over_few_videos_start_no_processes(
  num_videos, num_batches, train, threads_and_workers, monkeypatch
):
  given = []

  def make_dataset(data, **unused):
    given.append((data['num_threads'], data['num_workers']))
    yield from ()

  monkeypatch.setattr('rvmae_jax.evals.videos.make_dataset', make_dataset)
  videos = _fake(num_videos, num_threads=3, num_workers=5)
  read = videos.training_batches if train else videos.batches
  assert not list(read(num_batches))
  assert given == [threads_and_workers]


def test_other_labels_or_videos_are_other_videos(tmp_path):
  digests = []
  for name in 'ab':
    (tmp_path / f'{name}.mp4').touch()
  for rows in ('a.mp4,0', 'a.mp4,1', 'a.mp4,0\nb.mp4,0', 'a.mp4,0'):
    listing = tmp_path / 'list.csv'
    listing.write_text(f'path,label\n{rows}\n')
    source = {'name': 'listing', 'path': str(listing), 'split': 'all'}
    videos = Videos(sources={'own': source}, patch_size=8, batch_size=2)
    digests.append(videos.records_digest())
  assert len(set(digests)) == 3 and digests[0] == digests[3]


def test_progress_is_that_of_the_batches_that_are_read(monkeypatch):
  totals = []

  def progress(batches, total, what):
    totals.append((what, total))
    return batches

  monkeypatch.setattr('rvmae_jax.evals.videos.progress', progress)
  videos = _fake(9)
  assert len(list(videos.batches(2, 'some'))) == 2
  assert len(list(videos.batches(what='all'))) == 5
  list(videos.batches())
  assert totals == [('some', 4), ('all', 9)]
