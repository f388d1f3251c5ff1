"""The evaluation as a whole: perfect features track, useless ones do not."""

import csv
import dataclasses

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from rvmae_jax.evals import build_eval, label_propagation
from rvmae_jax.evals.label_propagation import LabelPropagationEval
from rvmae_jax.evals.videos import Videos

PATCH, SIZE, FRAMES = 8, (48, 64), 6
COLOURS = {0: (20, 20, 200), 1: (220, 30, 30), 2: (30, 220, 30)}


class Colours:
  """A network of windows that knows the colours, and no more."""

  is_recurrent = False
  num_prefix_tokens = 1

  def __init__(self, seed=None):
    self._rng = None if seed is None else np.random.default_rng(seed)

  def untrained(self, video, seed):
    assert video.shape[2:] == (2 * PATCH, 2 * PATCH, 3)
    return Colours(seed)

  def per_frame(self):
    return self

  def encode(self, video):
    middle = video[:, :, PATCH // 2 :: PATCH, PATCH // 2 :: PATCH] - 120.0
    tokens = middle.reshape(*video.shape[:2], -1, 3)
    prefix = np.zeros_like(tokens[:, :, :1])
    if self._rng is not None:
      tokens = self._rng.normal(size=tokens.shape)
    return np.concatenate([prefix, tokens], axis=2)


def masks():
  """Two squares of 2x2 patches that go a patch a frame, right and down."""
  found = np.zeros((FRAMES, *SIZE), np.uint8)
  for t, mask in enumerate(found):
    mask[:16, t * PATCH : t * PATCH + 16] = 1
    if t < 4:
      mask[16 + t * PATCH : 32 + t * PATCH, :16] = 2
  return found


@pytest.fixture(scope='module')
def squares(tmp_path_factory):
  """The folder of the frames, and that of their masks."""
  root = tmp_path_factory.mktemp('squares')
  for name in ('frames', 'masks'):
    (root / name).mkdir()
  for t, mask in enumerate(masks()):
    colours = np.array([COLOURS[number] for number in range(3)], np.uint8)
    Image.fromarray(colours[mask]).save(root / f'frames/{t:03d}.png')
    Image.fromarray(mask).save(root / f'masks/{t:03d}.png')
  return root


def tracked(squares, labels='masks', **settings):
  return LabelPropagationEval(
    videos=Videos(patch_size=PATCH, batch_size=1),
    dataset={
      'name': 'folder',
      'path': str(squares / 'frames'),
      'labels': str(squares / labels),
      'size': SIZE,
    },
    window=4,
    **settings,
  )


@pytest.fixture(scope='module')
def result(squares, tmp_path_factory):
  """One run with all that it leaves."""
  folder = tmp_path_factory.mktemp('saved')
  evaluation = tracked(squares, save_to=str(folder))
  return *evaluation.run(Colours()), folder


def test_perfect_features_track_and_random_ones_do_not(result):
  metrics, _, _ = result
  # Corners of squares are cut when a grid is enlarged.
  assert metrics['trained/J'] > 0.9 and metrics['pixels/J'] > 0.9
  assert metrics['random/J'] < 0.3
  # Of what stays where it was.
  assert metrics['copy/J'] < 0.3


def test_time_and_memory_are_told_for_what_computes(result):
  metrics, _, _ = result
  for name in ('seconds_per_frame', 'memory_mb'):
    told = {key.split('/')[1] for key in metrics if key.startswith(name)}
    assert told == {'trained', 'random', 'per_frame', 'pixels'}
    assert metrics[f'{name}/trained'] > 0


def test_gains_are_of_the_same_videos():
  scores = {
    'copy': np.array([0.1, 0.2, 0.9, np.nan]),
    'trained': np.array([0.3, 0.4, 1.1, np.nan]),
  }
  gains = label_propagation.gains(scores, 'J&F')
  # Videos differ widely, but the gain is the same for each.
  assert gains == pytest.approx(
    {
      'gain_over/copy/J&F': 0.2,
      'gain_over/copy/J&F_low': 0.2,
      'gain_over/copy/J&F_high': 0.2,
    }
  )


def test_one_video_has_no_interval(result):
  metrics, _, _ = result
  assert not [name for name in metrics if name.startswith('gain_over')]


def test_baselines_stand_beside_every_network(result):
  _, arrays, _ = result
  encoders = ['trained', 'random', 'per_frame', 'pixels', 'copy']
  assert list(arrays['encoders']) == encoders
  assert arrays['scores'].shape == (5, 1)


def test_pictures_have_the_labels_of_all_sources(result):
  _, arrays, _ = result
  assert arrays['frames_0'].shape == (FRAMES, *SIZE, 3)
  np.testing.assert_array_equal(arrays['labels_0/true'], masks())
  first = np.broadcast_to(masks()[0], masks().shape)
  np.testing.assert_array_equal(arrays['labels_0/copy'], first)


def test_predicted_masks_are_saved_as_davis_has_them(result):
  _, arrays, folder = result
  for t, mask in enumerate(arrays['labels_0/trained']):
    with Image.open(folder / f'frames/{t:05d}.png') as image:
      assert image.mode == 'P'
      assert image.getpalette()[3:9] == [128, 0, 0, 0, 128, 0]
      np.testing.assert_array_equal(np.asarray(image), mask)


def test_keypoints_are_tracked_and_saved(squares, tmp_path):
  rows = ['frame,keypoint,x,y']
  for t in range(FRAMES):
    # The middle of the first square, and of the background's far corner.
    rows += [f'{t},square,{8 * t + 8},8', f'{t},corner,60,44']
  (squares / 'points.csv').write_text('\n'.join(rows))
  evaluation = tracked(
    squares,
    'points.csv',
    encoders=('trained', 'copy'),
    save_to=str(tmp_path),
    # Only cells of the same kind may hand a point on.
    num_previous=1,
    top_k=1,
  )
  metrics, arrays = evaluation.run(Colours())
  assert set(metrics) >= {'trained/PCK@0.1', 'copy/PCK@0.5', 'num_videos'}
  # The square's own place is lost once it has moved out of reach.
  assert metrics['copy/PCK@0.1'] < 1
  assert arrays['labels_0/trained'].shape == (FRAMES, 2, 2)
  with open(tmp_path / 'frames.csv') as file:
    saved = list(csv.DictReader(file))
  assert saved[0] == {'frame': '0', 'keypoint': '0', 'x': '8.00', 'y': '8.00'}


def test_the_first_of_several_processes_alone_saves(
  squares, tmp_path, monkeypatch
):
  monkeypatch.setattr('jax.process_index', lambda: 1)
  tracked(squares, encoders=('trained',), save_to=str(tmp_path)).run(Colours())
  assert not list(tmp_path.iterdir())


class Placed(Colours):
  """Knows the colours, but says most of all where a patch is, and when."""

  def encode(self, video):
    tokens = super().encode(video)
    place = np.random.default_rng(0).normal(size=tokens.shape[1:])
    return tokens + 2000 * place


def test_what_videos_have_in_common_does_not_hide_objects():
  dataset = {
    'name': 'sprites',
    'labels': 'masks',
    'num_videos': 8,
    'num_frames': 4,
    'num_sprites': 2,
    'size': 64,
  }
  evaluation = LabelPropagationEval(
    videos=Videos(patch_size=PATCH, batch_size=1),
    dataset=dataset,
    encoders=('trained', 'copy'),
    window=4,
  )
  plain, placed, standardised = (
    each.run(network).metrics
    for each, network in (
      (evaluation, Colours()),
      (evaluation, Placed()),
      (dataclasses.replace(evaluation, standardise=True), Placed()),
    )
  )
  # A little of each video goes with what is common to eight.
  best = plain['trained/J']
  assert placed['trained/J'] < 0.1 * best
  assert standardised['trained/J'] > 0.8 * best
  assert 0.99 < standardised['share_in_common/trained'] < 1
  assert standardised['copy/J'] == placed['copy/J']
  assert 'share_in_common/copy' not in standardised


def test_without_truth_there_is_nothing_to_score(squares):
  evaluation = tracked(squares, 'masks/000.png', encoders=('trained', 'copy'))
  metrics, arrays = evaluation.run(Colours())
  assert set(metrics) == {
    'num_videos',
    'seconds_per_frame/trained',
    'memory_mb/trained',
  }
  assert np.isnan(arrays['scores']).all()


def test_wrong_settings_are_answered(squares):
  with pytest.raises(ValueError, match="Did you mean 'pixels'"):
    tracked(squares, encoders=('pixel',))
  with pytest.raises(ValueError, match=r'size=\(48, 64\)'):
    tracked(squares, size=(50, 64))
  with pytest.raises(ValueError, match='only one here; set it to False'):
    tracked(squares, standardise=True)
  with pytest.raises(ValueError, match='warm_up=8 fills a state'):
    tracked(squares, warm_up=8, reset_every=1)


def test_it_is_built_from_a_config(squares):
  entry = {
    'name': 'label_propagation',
    'dataset': {
      'name': 'folder',
      'path': str(squares / 'frames'),
      'labels': str(squares / 'masks'),
    },
    'size': SIZE,
  }
  built = build_eval(
    ConfigDict(entry),
    run_config=ConfigDict({'model': {'patch_size': PATCH}, 'data': {}}),
    batch_size=1,
  )
  assert isinstance(built, LabelPropagationEval)
