"""The attentive probe on tokens that somebody else knows the meaning of."""

import collections

import numpy as np
import pytest

from rvmae_jax.data.decoding import VideoError
from rvmae_jax.data.sources.fake import Fake
from rvmae_jax.evals.attentive_probe import AttentiveProbeEval
from rvmae_jax.evals.heads import most_accurate
from rvmae_jax.evals.token_rows import EncodedRows, KeptRows, Networks
from rvmae_jax.evals.videos import Videos

_CLASSES = 4
_NOISE = {
  'name': 'fake',
  'num_videos': 96,
  'num_frames': 4,
  'size': (8, 8),
  'num_classes': _CLASSES,
}
_TRAIN = Videos(
  sources={'noise': {**_NOISE, 'split': 'train'}},
  clip={'name': 'uniform', 'num_frames': 2},
  crop={'size': (8, 8), 'area': (1.0, 1.0), 'ratio': (1.0, 1.0)},
  patch_size=8,
  batch_size=16,
)
_TEST = _TRAIN.replace(sources={'noise': {**_NOISE, 'split': 'test'}})
_FOUR_FRAMES = {'name': 'uniform', 'num_frames': 4}


def _changed(videos, **settings):
  return videos.replace(
    sources={'noise': {**videos.sources['noise'], **settings}}
  )


class Oracle:
  """One token of a clip points to its class; all others are noise.

  Args:
    relabel: what it holds a training video of a class for.
  """

  def __init__(self, relabel=lambda label: label):
    self._rng = np.random.default_rng(0)
    self._labels = {}
    for videos in (_TRAIN, _TEST):
      for batch in videos.batches():
        for video, label in zip(batch['video'], batch['label']):
          if videos is _TRAIN:
            label = relabel(label)
          self._labels[video[0].tobytes()] = label

  def pooled(self, video, poolings):
    raise AssertionError('nobody asked for poolings')

  def encode(self, video):
    tokens = self._rng.normal(size=(len(video), 2, 3, 32))
    for row, frames in enumerate(video):
      # A row of padding is none of the videos.
      label = self._labels.get(frames[0].tobytes(), 0)
      # Anywhere: only a query that looks for it finds it.
      place = self._rng.integers(2), self._rng.integers(3)
      tokens[row, *place] = 0.1 * self._rng.normal(size=32)
      tokens[row, *place, 0] = tokens[row, *place, 1 + label] = 9
    return tokens.astype(np.float32)


def _run(network, test=_TEST, **settings):
  evaluation = AttentiveProbeEval(
    train=_TRAIN,
    test=test,
    learning_rates=(1e-5, 1e-2),
    weight_decays=(1e-4,),
    num_epochs=25,
    **settings,
  )
  return evaluation.run(network)


def test_a_token_that_tells_the_class_is_found():
  metrics, arrays = _run(Oracle(), seeds=2)
  assert metrics['trained/attentive/top1'] == 1
  assert metrics['trained/attentive/top1_std'] == 0
  assert metrics['trained/attentive/validation_top1'] == 1
  assert metrics['trained/attentive/learning_rate'] == 1e-2
  assert metrics['num_train'] == metrics['num_test'] == 96
  assert arrays['confusion'].shape == (1, _CLASSES, _CLASSES)
  assert arrays['class_names'][0] == 'class_0'


def test_shuffled_labels_give_chance():
  rng = np.random.default_rng(1)
  metrics, _ = _run(Oracle(lambda label: rng.integers(_CLASSES)))
  # Four standard errors of 96 answers.
  assert metrics['trained/attentive/top1'] == pytest.approx(0.25, abs=0.18)


def test_tokens_that_are_not_kept_are_encoded_anew():
  class Counting(Oracle):
    num_rows = 0

    def encode(self, video):
      self.num_rows += len(video)
      return super().encode(video)

  # Training draws other clips than evaluation, so the oracle needs all frames.
  network = Counting()
  network._labels = _AnyFrame(network._labels)
  metrics, _ = _run(network, cache=False)
  # 25 epochs, one pass to choose and one over the test videos.
  assert network.num_rows == 27 * 96
  assert metrics['trained/attentive/validation_top1'] > 0.5


class _AnyFrame(dict):
  """Labels of videos by any of their frames."""

  def __init__(self, labels):
    super().__init__(labels)
    for videos in (_TRAIN, _TEST):
      for batch in videos.replace(clip=_FOUR_FRAMES).batches():
        for video, label in zip(batch['video'], batch['label']):
          self.update({frame.tobytes(): label for frame in video})


def test_views_of_a_test_video_are_averaged():
  network = Oracle()
  network._labels = _AnyFrame(network._labels)
  test = _TEST.replace(clip=_FOUR_FRAMES)
  metrics, _ = _run(network, test, num_clips=2)
  assert metrics['trained/attentive/top1'] == 1


def test_videos_without_classes_are_not_probed():
  videos = _changed(_TRAIN, num_classes=1)
  evaluation = AttentiveProbeEval(train=videos, test=videos)
  assert evaluation.run(Oracle()).metrics == {}


def test_heads_that_do_not_divide_the_width_are_an_error():
  with pytest.raises(ValueError, match=r'32 wide .* num_heads=5'):
    _run(Oracle(), num_heads=5)


def test_of_few_videos_one_at_least_chooses():
  """Of 8 drawn at 10 %, none would be in four seeds of ten."""
  evaluation = AttentiveProbeEval(
    train=_changed(_TRAIN, num_videos=8),
    test=_changed(_TEST, num_videos=8),
    learning_rates=(1e-2,),
    weight_decays=(0.0,),
    num_epochs=1,
    seeds=6,
  )
  network = Oracle()
  network._labels = collections.defaultdict(int)
  metrics = evaluation.run(network).metrics
  assert np.isfinite(metrics['trained/attentive/validation_top1'])
  held_out = evaluation._is_held_out(np.array([[0, n] for n in range(8)]))
  assert (held_out.sum(1) >= 1).all() and (held_out.sum(1) == 1).any()


class _Damaged(Fake):
  """Every third video cannot be read, so that the next one stands in for it."""

  def __getitem__(self, index):
    if index % 3 == 0:
      raise VideoError(f'{index}', 'is damaged')
    return super().__getitem__(index)


@pytest.mark.parametrize('kind', [KeptRows, EncodedRows])
def test_what_stands_in_for_a_bad_video_goes_by_its_own_place(
  kind, monkeypatch
):
  """So that a held-out video trains no head, whatever row it comes in."""
  monkeypatch.setattr(
    'rvmae_jax.evals.videos.build_sources',
    lambda _: [_Damaged(num_videos=12, size=(8, 8), num_classes=12)],
  )
  network = Oracle()
  network._labels = collections.defaultdict(int)
  videos = _TRAIN.replace(sources={'damaged': {}}, batch_size=4)
  rows = kind(Networks(network, ('trained',), 1, videos), videos)
  for batches in (rows.training_batches(3), rows.all_batches()):
    found = [
      row for part in batches for row in zip(part.labels, *part.places.T)
    ]
    assert {label for label, _, _ in found} <= {n for n in range(12) if n % 3}
    # The label of a record is its number.
    assert all(label == record for label, _, record in found)
  # In the last pass, none is asked twice.
  assert len(found) == 8


def test_heads_are_not_chosen_by_nothing():
  with pytest.raises(ValueError, match=r'held-out .*(held_out)'):
    most_accurate([(np.zeros((1, 0, 2)), np.zeros(0, int))])


@pytest.mark.parametrize('kind', [KeptRows, EncodedRows])
def test_padding_is_no_row(kind):
  """Of 10 videos in batches of 16."""
  few = _changed(_TRAIN, num_videos=10)
  network = Oracle()
  network._labels = collections.defaultdict(int)
  rows = kind(Networks(network, ('trained',), 1, _TRAIN), few).all_batches()
  assert [len(part.labels) for part in rows] == [10]


def test_tokens_that_do_not_fit_are_refused_by_the_first_batch():
  networks = Networks(Oracle(), ('trained',), 1, _TRAIN)
  # 96 videos of 2 x 3 tokens of 32 float16
  size = 96 * 6 * 32 * 2
  KeptRows(networks, _TRAIN, free_bytes=2 * size)
  with pytest.raises(ValueError, match=r'96 videos .* cache=False'):
    KeptRows(networks, _TRAIN, free_bytes=2 * size - 1)


def test_a_class_that_train_lacks_is_asked_about_and_counts_as_wrong(
  monkeypatch,
):
  monkeypatch.setattr(
    Oracle,
    'encode',
    lambda self, video: np.zeros((len(video), 2, 3, 32), np.float32),
  )
  evaluation = AttentiveProbeEval(
    train=_TRAIN,
    test=_changed(_TEST, num_classes=_CLASSES + 1),
    learning_rates=(1e-3,),
    weight_decays=(0.0,),
    num_epochs=1,
  )
  metrics, arrays = evaluation.run(Oracle())
  assert metrics['num_classes'] == _CLASSES + 1
  # 19 videos of 96 have label 4, and it is never the answer.
  assert arrays['confusion'][0, _CLASSES].sum() == 19
  assert arrays['confusion'][0, :, _CLASSES].sum() == 0


def test_videos_left_out_are_not_drawn_from_or_refused():
  few = _TRAIN.replace(max_videos=8)
  AttentiveProbeEval(train=few, test=_TEST)
  with pytest.raises(ValueError, match=r'max_videos=8 does nothing with cache'):
    AttentiveProbeEval(train=few, test=_TEST, cache=False)


def test_clips_of_another_length_are_refused_before_heads_are_trained():
  with pytest.raises(ValueError, match=r'test clips need 2 .* have 4: set'):
    AttentiveProbeEval(train=_TRAIN, test=_TEST.replace(clip=_FOUR_FRAMES))


@pytest.mark.parametrize(
  'setting', [{'held_out': 0.0}, {'held_out': 1.0}, {'num_epochs': 0}]
)
def test_impossible_settings_are_refused(setting):
  [(name, value)] = setting.items()
  with pytest.raises(ValueError, match=f'{name}={value} must be'):
    AttentiveProbeEval(train=_TRAIN, test=_TEST, **setting)


def test_only_labelled_videos_are_learned_from(monkeypatch):
  labels = np.arange(96) % 3 - 1  # A third has none.
  kept = np.argwhere(labels >= 0)
  places = np.insert(kept, 0, 0, axis=1)
  monkeypatch.setattr(Videos, 'labelled_places', lambda self: places)
  rows = EncodedRows(None, _TRAIN)
  assert (rows.num_videos, rows.num_steps(2)) == (64, 12)
