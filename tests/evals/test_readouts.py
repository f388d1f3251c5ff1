"""Evaluations with readout heads: what a network knows is found, no more."""

import functools
import pathlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from rvmae_jax import memory
from rvmae_jax.config_utils import load_config
from rvmae_jax.data.decoding import VideoError
from rvmae_jax.data.scenes import BOXES, DEPTH, POINTS
from rvmae_jax.data.scenes.videos import BoxVideo, DepthVideo, PointVideo
from rvmae_jax.evals import build_eval, build_evals, spec
from rvmae_jax.evals.box_tracking import BoxTrackingEval, RelativeBoxes
from rvmae_jax.evals.depth import DepthEval
from rvmae_jax.evals.description import describe
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.point_tracking import PointTrackingEval, RelativePoints
from rvmae_jax.evals.readouts import TunedReadout, in_chunks, summarise
from rvmae_jax.evals.videos import Videos
from rvmae_jax.layers.readout import Tracks
from rvmae_jax.models import MODELS, build_model
from rvmae_jax.training.sharding import make_mesh
from rvmae_jax.visualize import FIGURES

_CONFIGS = pathlib.Path(__file__).resolve().parents[2] / 'configs'
SIZE, PATCH, FRAMES = 32, 8, 4
VIDEOS = Videos(crop={'size': (SIZE, SIZE)}, patch_size=PATCH, batch_size=8)
HEAD = {'width': 32, 'num_heads': 2}
TASKS = {
  'depth': (DepthEval, DEPTH, HEAD),
  'point_tracking': (PointTrackingEval, POINTS, HEAD | {'query_width': 32}),
  'box_tracking': (BoxTrackingEval, BOXES, HEAD | {'query_width': 32}),
}


# What registered networks need beside a name, a size and a patch size.
NETWORKS = {
  'arvideo': {},
  'classifier': {'backbone': 'videomae', 'num_classes': 2},
  'moco_v3': {'backbone': 'videomae'},
  'rvm': {},
  'rvmae': {},
  'siammae': {},
  'videomae': {},
}


class Oracle:
  """A network that reads what the frames say outright, or nothing.

  Its features are the mean colours of patches, as drawn by `Drawn`.
  """

  is_recurrent = False
  num_prefix_tokens = 1

  def __init__(self, knows=True, places=False):
    self._knows, self._places = knows, places
    self.cache = {}

  def untrained(self, video, seed):
    return Oracle(knows=False)

  def per_frame(self):
    return self

  def pooled(self, video, poolings):
    raise AssertionError('Tokens are asked for.')

  def encode(self, video):
    batch, time = video.shape[:2]
    n = SIZE // PATCH
    patches = video.reshape(batch, time, n, PATCH, n, PATCH, 3) / 255.0
    tokens = patches.mean((3, 5)).reshape(batch, time, n * n, 3)
    # Beside something that stays, so that a layer norm leaves the colours.
    basis = np.random.default_rng(0).normal(size=(4, 16))
    tokens = 4 * (tokens - 0.5) @ basis[:3] + 2 * basis[3]
    if not self._knows:
      tokens = np.zeros_like(tokens)
    if self._places:
      tokens += np.random.default_rng(1).normal(size=(n * n, 16))
    return np.concatenate([np.zeros_like(tokens[:, :, :1]), tokens], 2)


class Drawn:
  """Videos whose colour is their answer: depth, or how far all has moved."""

  def __init__(self, kind, split='train', num_videos=24):
    self._kind, self._split = kind, split
    rng = np.random.default_rng({'train': 0, 'val': 1, 'test': 2}[split])
    self._shown = rng.random(num_videos)

  def __len__(self):
    return len(self._shown)

  def __getitem__(self, index):
    shown = self._shown[index]
    frames = np.zeros((FRAMES, SIZE, SIZE, 3), np.uint8)
    frames[...] = np.rint(255 * np.array([shown, 1 - shown, 0.5]))
    name = f'{self._split}/{index}'
    record = {'path': name, 'label': -1, 'frames': frames}
    moved = np.linspace(0, 0.5 * (shown - 0.5), FRAMES, dtype=np.float32)
    if self._kind == 'depth':
      depth = np.full((FRAMES, SIZE, SIZE), 1 + 3 * shown, np.float32)
      depth[:, :2] = np.nan
      return DepthVideo(name, record, list(depth))
    rng = np.random.default_rng(7)
    if self._kind == 'points':
      points = np.tile(rng.uniform(0.3, 0.7, (6, 1, 2)), (1, FRAMES, 1))
      points[..., 0] += moved
      visible = np.ones((6, FRAMES), bool)
      return PointVideo(name, record, points.astype(np.float32), visible)
    low = rng.uniform(0.3, 0.4, (3, 1, 2))
    boxes = np.concatenate([low, low + 0.3], -1).repeat(FRAMES, 1)
    boxes += moved[:, None]
    boxes[0, -1] = np.nan
    return BoxVideo(name, record, boxes.astype(np.float32))


class Patchwork(Drawn):
  """The same for each quarter by itself: an answer is found in one place."""

  def __init__(self, kind, split='train', num_videos=24):
    super().__init__(kind, split, num_videos)
    rng = np.random.default_rng(len(split))
    self._shown = rng.random((num_videos, 2, 2))

  def __getitem__(self, index):
    shown = self._shown[index]
    one = shown.repeat(SIZE // 2, 0).repeat(SIZE // 2, 1)
    frame = np.rint(255 * np.stack([one, 1 - one, 0 * one + 0.5], -1))
    frames = np.tile(frame.astype(np.uint8), (FRAMES, 1, 1, 1))
    name = f'{self._split}/{index}'
    record = {'path': name, 'label': -1, 'frames': frames}
    if self._kind == 'depth':
      return DepthVideo(name, record, [np.float32(1 + 3 * one)] * FRAMES)
    low = np.stack(np.indices((2, 2)), -1).reshape(-1, 1, 2) / 2  # y and x
    # They stay in their quarter, and where a point is does not tell its way.
    spread, way = (0.1, 0.28) if self._kind == 'points' else (0, 0.45)
    rng = np.random.default_rng(index)
    low = low + rng.uniform(-spread, spread, (4, 1, 2))
    ways = np.linspace(0, way, FRAMES) * (shown.reshape(-1, 1) - 0.5)
    low = np.float32(low + ways[..., None])
    if self._kind == 'boxes':
      return BoxVideo(name, record, np.concatenate([low, low + 0.5], -1))
    points = low[..., ::-1] + np.float32(0.25)
    return PointVideo(name, record, points, np.ones(ways.shape, bool))


@pytest.fixture(autouse=True)
def drawn(monkeypatch):
  """The entries `drawn` and `patchwork` of each table."""
  made = {'drawn': Drawn, 'patchwork': Patchwork}
  for table, kind in ((DEPTH, 'depth'), (POINTS, 'points'), (BOXES, 'boxes')):
    build = table.build
    monkeypatch.setattr(
      table,
      'build',
      lambda config, build=build, kind=kind: (
        made[config['name']](
          kind, **{k: v for k, v in config.items() if k != 'name'}
        )
        if config['name'] in made
        else build(config)
      ),
    )


def evaluation(name, **changes):
  cls, _, head = TASKS[name]
  settings = {
    'videos': VIDEOS,
    'dataset': {'name': 'drawn'},
    'train': {'split': 'train'},
    'validation': {'split': 'val', 'num_videos': 4},
    'test': {'split': 'test', 'num_videos': 6},
    'num_frames': FRAMES,
    'encoders': ('trained', 'random'),
    'learning_rates': (0.0, 1e-2),
    'num_epochs': 40,
    'head': head,
  }
  return cls(**settings | changes)


@functools.cache
def result_of(name):
  return evaluation(name).run(Oracle())


@pytest.mark.parametrize('name', TASKS)
def test_a_head_finds_what_features_know_and_no_more(name):
  metrics, _ = result_of(name)
  assert (metrics['num_train'], metrics['num_validation']) == (24, 4)
  assert metrics['num_test'] == 6
  # A head that does not learn is not chosen.
  assert metrics['chosen/trained/learning_rate'] == 1e-2
  if name == 'depth':
    assert metrics['trained/AbsRel'] < 0.05
    assert metrics['trained/RMSE'] < 0.1
    assert metrics['trained/within_1.25'] > 0.95
    blind, trivial = metrics['random/AbsRel'], metrics['mean/AbsRel']
    assert blind == pytest.approx(trivial, abs=0.05) and trivial > 0.2
  elif name == 'point_tracking':
    for mode in ('first', 'strided'):
      assert metrics[f'trained/{mode}/AJ'] > 0.6
      assert metrics[f'trained/{mode}/delta_average'] > 0.7
      assert metrics[f'trained/{mode}/OA'] > 0.95
      assert metrics[f'random/{mode}/AJ'] < 0.2
      assert metrics[f'still/{mode}/AJ'] < 0.2
  else:
    assert metrics['trained/mean_iou'] > 0.75
    blind, trivial = metrics['random/mean_iou'], metrics['first_box/mean_iou']
    assert blind == pytest.approx(trivial, abs=0.1) and trivial < 0.6


@pytest.mark.parametrize('name', TASKS)
def test_a_head_learns_where_to_look(name):
  """Tokens know the answer of their own place; heads find it in new videos."""
  changes = {'relative': True, 'num_queries': 8}
  if name == 'depth':
    changes = {'head': HEAD | {'patch_shape': (4, 16, 16)}}
  elif name == 'point_tracking':
    head = TASKS[name][2] | {'num_frequencies': 4}
    changes |= {'head': head, 'needs_certain': False}
  asked = evaluation(
    name,
    dataset={'name': 'patchwork'},
    train={'num_videos': 96},
    encoders=('trained',),
    learning_rates=(1e-2,),
    **changes,
  )
  metrics = asked.run(Oracle(places=True)).metrics
  if name == 'depth':
    assert metrics['trained/AbsRel'] < 0.06 < 0.25 < metrics['mean/AbsRel']
  elif name == 'point_tracking':
    assert metrics['trained/first/delta_average'] > 0.4
    assert metrics['still/first/delta_average'] < 0.3
    assert metrics['trained/first/OA'] == 1
  else:
    assert metrics['trained/mean_iou'] > 0.9
    assert metrics['first_box/mean_iou'] < 0.7


@functools.cache
def tiny_network():
  """A recurrent network with CLS, and its parameters."""
  model = build_model(
    {'name': 'rvm', 'variant': 'tiny', 'patch_size': PATCH, 'encoder_blocks': 1}
  )
  init = functools.partial(model.init, method='encode')
  video = np.zeros((1, FRAMES, SIZE, SIZE, 3), np.uint8)
  return model, jax.jit(init)(jax.random.key(0), video)['params']


def test_devices_change_no_feature():
  """All that heads are given: 10 clips in batches of 8, the last filled up."""
  asked = evaluation('depth', test={'split': 'test', 'num_videos': 10})
  frames = [clip.frames for clip in asked.read_test()]
  found = []
  for number in (1, 2, 8):
    mesh = make_mesh(devices=jax.devices()[:number])
    functions = ModelFunctions(*tiny_network(), mesh)
    found.append(asked.features(functions, frames).astype(np.float32))
  assert len(found[0]) == 10
  for features in found[1:]:
    np.testing.assert_allclose(features, found[0], atol=5e-3)  # Of float16.


@pytest.mark.parametrize('name', TASKS)
def test_pictures_show_the_truth_and_every_source(name):
  metrics, arrays = result_of(name)
  figures = FIGURES.get(name)(arrays, metrics)
  [figure] = [f for f in figures.values() if hasattr(f, 'axes')]
  figure.draw_without_rendering()
  named = {axes.get_ylabel() for axes in figure.axes} | {
    text.get_text() for axes in figure.axes for text in axes.texts
  }
  trivial = {'depth': 'mean depth', 'point_tracking': 'stand still'}
  assert named >= {'true', 'network', 'random network'}
  assert trivial.get(name, 'first box') in named
  assert len(figures) == (1 if name == 'depth' else 2)  # With a film.


def test_similar_features_follow_points_without_a_head(monkeypatch):
  """Every patch is unlike the others, and all go right by one a frame."""
  rng = np.random.default_rng(0)
  film = np.uint8(rng.integers(0, 255, (1, SIZE, SIZE + 3 * PATCH, 3)))
  frames = [film[0, :, t * PATCH : t * PATCH + SIZE] for t in range(FRAMES)]
  frames = np.stack(frames[::-1])
  y, x = np.mgrid[:4, :1].reshape(2, -1) * PATCH + PATCH / 2
  points = np.stack([np.stack([x + t * PATCH, y], -1) for t in range(FRAMES)])

  class Passing:
    def __len__(self):
      return 1

    def __getitem__(self, index):
      record = {'path': 'film', 'label': -1, 'frames': frames}
      shares = np.float32(points.swapaxes(0, 1) / SIZE)
      return PointVideo('film', record, shares, np.ones((4, FRAMES), bool))

  monkeypatch.setattr(POINTS, 'build', lambda config: Passing())
  asked = PointTrackingEval(
    videos=VIDEOS,
    dataset={'name': 'passing'},
    num_frames=FRAMES,
    encoders=('pixels', 'random'),
    zero_shot=True,
  )
  assert asked.num_trainings == 0
  metrics, _ = asked.run(Oracle())
  assert metrics['pixels/first/delta_average'] == 1
  assert metrics['pixels/first/AJ'] == 1
  assert metrics['still/first/delta_average'] < 0.3
  assert metrics['random/first/delta_average'] < 0.5
  assert 'num_train' not in metrics


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'zero_shot': True}, 'train=.* does nothing with zero_shot'),
    ({'tracker': {'radius': 3}}, 'tracker=.* does nothing without zero_shot'),
    ({'held_out': 0.2}, 'held_out=0.2 does nothing where validation'),
    ({'encoders': ('pixel',)}, "mean 'pixels'"),
    ({'learns': 'al'}, "mean 'all'"),
    ({'network_rate': 0.2}, "network_rate=0.2 does nothing with learns='head'"),
    ({'num_frames': 0}, 'num_frames=0 must be'),
    ({'videos': VIDEOS.replace(patch_size=12)}, r'Patches of 12 .*\(36, 36\)'),
    ({'videos': VIDEOS.replace(tubelet_size=3)}, 'Tokens of 3 frames'),
  ],
)
def test_settings_that_do_nothing_or_cannot_be(changes, message):
  with pytest.raises(ValueError, match=message):
    evaluation('point_tracking', **changes)


class Says(nn.Module):
  """A readout that always says the same."""

  answer: str

  def __call__(self, features, queries):
    shape = (*queries.shape[:2], FRAMES)
    if self.answer == 'box':
      return jnp.ones((*shape, 4))
    points = jnp.full((*shape, 2), 1 / (1 + np.exp(-1)))  # Of 1.
    return Tracks(points, jnp.zeros(shape), jnp.zeros(shape))


def test_relative_heads_say_how_far_from_the_query_in_units_of_the_ways_gone():
  features = np.zeros((1, FRAMES, 16, 3))
  boxes = evaluation('box_tracking', relative=True)
  train, *_ = boxes.read_all()
  head = boxes.make_head(train)
  moved = [c.truth['boxes'] - c.truth['boxes'][:, :1] for c in train]
  assert head.std == pytest.approx(np.nanstd(np.concatenate(moved)))
  [queries], [true] = boxes.draw(np.random.default_rng(0), [train[0].truth])
  said = RelativeBoxes(Says('box'), head.std).apply({}, features, queries)
  first = true[:, :, :1].repeat(FRAMES, axis=2)
  np.testing.assert_allclose(said, first + head.std, rtol=1e-6)

  points = evaluation('point_tracking', relative=True)
  train, *_ = points.read_all()
  ways = [c.truth['points'] - c.truth['points'].mean(1)[:, None] for c in train]
  assert points.make_head(train).std == pytest.approx(np.std(ways))
  [queries], [true, _] = points.draw(np.random.default_rng(0), [train[0].truth])
  said = RelativePoints(Says('point'), 0.25).apply({}, features, queries)
  frames = np.rint((queries[0, :, 0] + 1) / 2 * (FRAMES - 1)).astype(int)
  at_query = true[0, np.arange(len(frames)), frames]
  np.testing.assert_allclose(
    said.points[0], np.stack([at_query + 0.25] * FRAMES, 1), rtol=1e-4
  )


@pytest.mark.parametrize(
  ('name', 'scores', 'best'),
  [
    ('depth', [{'AbsRel': 0.3}, {'AbsRel': 0.2}, {}], (1, 0.2)),
    ('box_tracking', [{}, {'mean_iou': 0.2}, {'mean_iou': 0.3}], (2, 0.3)),
    (
      'point_tracking',
      [
        {'first/AJ': 0.1, 'first/delta_average': 0.4},
        {'first/AJ': 0.1, 'first/delta_average': 0.6},
        {'first/AJ': 0.0, 'first/delta_average': 0.9},
      ],
      (1, 0.1),
    ),
  ],
)
def test_the_best_head_is_chosen(name, scores, best):
  """One whose numbers are not numbers is not."""
  assert evaluation(name).best(scores) == best
  with pytest.raises(ValueError, match=r'learning_rates=.* are too high'):
    evaluation(name).best([{}, {}])


def read(**changes):
  """The clips of each side."""
  return evaluation('depth', **changes).read_all()


def test_videos_are_on_one_side_alone():
  train, validation, test = read(validation={}, held_out=0.25)
  assert (len(train), len(validation), len(test)) == (18, 6, 6)
  with pytest.raises(ValueError, match='6 videos are in train and in test'):
    read(test={'num_videos': 6})
  with pytest.raises(ValueError, match='in validation and in test, such as'):
    read(validation={'split': 'test', 'num_videos': 2})


def test_truth_is_of_the_frames_of_a_clip():
  """Several clips of a video, of every second frame."""

  class Counted:
    """Each frame has its number as its colour and its depth."""

    def __len__(self):
      return 4

    def __getitem__(self, index):
      if index == 3:
        raise VideoError('c', 'is damaged')
      count = 11 - 8 * (index == 2)
      frames = np.ones((count, SIZE, SIZE, 3), np.uint8)
      frames *= np.arange(count, dtype=np.uint8)[:, None, None, None]
      record = {'path': 'c', 'label': -1, 'frames': frames}
      return DepthVideo(str(index), record, list(np.float32(frames[..., 0])))

  asked = evaluation('depth', stride=2, num_clips=3)
  clips = asked._read('test', Counted(), np.arange(4))
  # One is too short, one damaged.
  assert [clip.place[1] for clip in clips] == ['0'] * 3 + ['1'] * 3
  for clip, start in zip(clips, (0, 2, 4)):
    wanted = start + 2 * np.arange(FRAMES)
    np.testing.assert_array_equal(clip.frames[:, 0, 0, 0], wanted)
    np.testing.assert_array_equal(clip.truth['depth'][:, 5, 5], wanted)
  with pytest.raises(ValueError, match='of 2 videos, 1 are shorter than 7'):
    asked._read('test', Counted(), np.arange(2, 4))


def test_what_does_not_fit_into_memory_is_refused(monkeypatch):
  monkeypatch.setattr(memory, 'free_memory', lambda: 1e5)
  with pytest.raises(ValueError, match=r'test clips would take .* max_videos'):
    read()


@pytest.mark.parametrize('count', [1, 4, 5])
def test_queries_are_asked_in_chunks(count):
  seen = []

  def function(queries):
    seen.append(len(queries))
    return queries + 1, queries[:, 0] > 1

  queries = np.arange(count * 2.0).reshape(count, 2)
  more, flags = in_chunks(function, queries, size=4)
  np.testing.assert_array_equal(more, queries + 1)
  np.testing.assert_array_equal(flags, queries[:, 0] > 1)
  assert set(seen) == {4}


def test_what_was_trained_on_is_found_among_the_videos_asked_about():
  files = evaluation('depth', max_videos=2).test_files()
  assert files == ['test/0', 'test/3']


@pytest.mark.parametrize('dataset', ['parallax', 'sprites', 'tap_vid'])
def test_the_recipe_asks_two_runs_the_same(dataset):
  arguments = {'tap_vid': ',path=DAVIS.pkl'}.get(dataset, '')
  config = load_config(
    f'{_CONFIGS}/eval_readouts.py:dataset={dataset}{arguments}'
  )
  specs = []
  for recipe in ('rvm_quickstart.py', 'videomae.py'):
    run = load_config(f'{_CONFIGS}/{recipe}:runlocal')
    evaluations = build_evals(
      config.evals, run_config=run, shared=config.data, batch_size=8
    )
    specs.append({alias: spec(e) for alias, e in evaluations.items()})
    for of_videos in specs[-1].values():
      for key in ('patch_size', 'tubelet_size'):
        del of_videos['videos'][key]
  assert specs[0] == specs[1]
  assert ('depth' in specs[0]) == (dataset == 'parallax')
  assert evaluations['points_zero_shot'].num_trainings == 0


@pytest.mark.parametrize(
  ('argument', 'message'),
  [
    ('dataset=paralax', "mean 'parallax'"),
    ('dataset=waymo', 'dataset=waymo needs path'),
  ],
)
def test_the_recipe_says_what_is_missing(argument, message):
  with pytest.raises(ValueError, match=message):
    load_config(f'{_CONFIGS}/eval_readouts.py:{argument}')


@pytest.mark.parametrize(
  ('argument', 'heads'),
  [
    ('dataset=tap_vid,path=D.pkl,train=K.pkl', {'points', 'points_zero_shot'}),
    ('dataset=tap_vid,path=D.pkl', {'points_zero_shot'}),
    ('dataset=perception_test,path=D', {'points', 'points_zero_shot', 'boxes'}),
    ('dataset=scannet,path=D', {'depth'}),
    ('dataset=waymo,path=D', {'boxes'}),
  ],
)
def test_published_sets_are_asked_what_they_know(argument, heads):
  config = load_config(f'{_CONFIGS}/eval_readouts.py:{argument}')
  run = load_config(f'{_CONFIGS}/rvm_pretrain.py:runlocal')
  evaluations = build_evals(
    config.evals, run_config=run, shared=config.data, batch_size=8
  )
  assert set(evaluations) == heads
  for evaluation in evaluations.values():
    assert evaluation.videos.size == (224, 224)
    if evaluation.trains:
      assert evaluation.train != evaluation.test


@pytest.mark.parametrize('is_recurrent', [False, True])
def test_baselines_stand_beside_every_network(is_recurrent):
  asked = evaluation('depth', encoders=DepthEval.encoders, num_epochs=1)
  network = Oracle()
  network.is_recurrent = is_recurrent
  compared = {name.split('/')[0] for name in asked.run(network).metrics}
  assert compared >= {'trained', 'random', 'per_frame', 'pixels', 'mean'}
  text = describe('depth', asked)
  assert 'answer that ignores the video: mean' in text
  assert "encoders: ('trained', 'random', 'per_frame', 'pixels')" in text


def test_scores_of_clips_and_seeds():
  """Means of 2 and 6 over two clips; what a clip does not have is left out."""
  runs = [
    [{'a': 1.0, 'b': np.nan, 'c': np.nan}, {'a': 3.0, 'b': 5.0, 'c': np.nan}],
    [{'a': 4.0, 'b': np.nan, 'c': np.nan}, {'a': 8.0, 'b': 7.0, 'c': np.nan}],
  ]
  assert summarise(runs) == pytest.approx(
    # Clips have 2.5 and 5.5 over seeds, which deviate by 3 / sqrt(2).
    {'a': 4, 'a_std': 8**0.5, 'a_se': 1.5, 'b': 6, 'b_std': 2**0.5}
  )
  assert summarise(runs[:1]) == pytest.approx({'a': 2, 'a_se': 1, 'b': 5})


def test_seeds_are_of_heads_and_of_fresh_networks(monkeypatch):
  asked = evaluation('depth', num_epochs=1, seeds=2)
  assert asked.num_trainings == 2 * 2 * 2
  seeds = []
  untrained = Oracle.untrained
  monkeypatch.setattr(
    Oracle,
    'untrained',
    lambda self, video, seed: (
      seeds.append(seed) or untrained(self, video, seed)
    ),
  )
  metrics = asked.run(Oracle()).metrics
  assert seeds == [0, 1]
  assert metrics['trained/AbsRel_std'] > 0
  assert metrics['trained/AbsRel_se'] > 0
  assert metrics['mean/AbsRel_se'] > 0 and 'mean/AbsRel_std' not in metrics


def test_a_network_learns_with_its_head():
  """On eight clips; with the encoder frozen, the head finds less of them."""
  asked = evaluation('depth', learning_rates=(3e-3,), num_epochs=40)
  clips = asked.read_test()
  frames = np.stack([clip.frames for clip in clips])
  functions = ModelFunctions(*tiny_network())
  frozen, tuned = (
    asked.fit((rows, clips), (rows, clips), 0, network)[1]['validation_AbsRel']
    for rows, network in (
      (asked.features(functions, [*frames]), None),
      (frames, functions),
    )
  )
  assert tuned < 0.8 * frozen


def test_what_learns_is_what_was_asked_for(monkeypatch):
  """Frames go in instead of features, and only networks are tuned."""
  asked = evaluation(
    'depth', learns='all', encoders=('trained', 'pixels'), network_rate=0.5
  )
  seen = []

  def fit(self, train, validation, seed, network=None):
    seen.append((train[0].dtype, network))
    return (lambda row, truth: truth['depth']), {}

  monkeypatch.setattr(DepthEval, 'fit', fit)
  functions = ModelFunctions(*tiny_network())
  assert asked.run(functions).metrics['trained/AbsRel'] == 0
  assert seen == [(np.uint8, functions), (np.float16, None)]


def test_there_is_a_case_for_every_network():
  assert set(NETWORKS) == set(MODELS.names())


@pytest.mark.parametrize('name', NETWORKS)
def test_every_network_learns_with_its_head(name):
  """All that features need gets a gradient; nothing is computed."""
  model = build_model(
    {'name': name, 'variant': 'tiny', 'patch_size': PATCH} | NETWORKS[name]
  )
  asked = evaluation('depth')
  head = TunedReadout(model, 'encode', asked.make_head(asked.read_test()))
  video = np.zeros((2, FRAMES, SIZE, SIZE, 3), np.uint8)
  params = jax.eval_shape(head.init, jax.random.key(0), video)['params']
  needed = jax.eval_shape(
    functools.partial(model.init, method='encode'), jax.random.key(0), video
  )['params']
  assert jax.tree.structure(params['network']) == jax.tree.structure(needed)
  depth = np.zeros(video.shape[:-1])
  gradients = jax.eval_shape(
    jax.grad(lambda p: asked.loss(head.apply({'params': p}, video), depth)),
    params,
  )
  assert jax.tree.structure(gradients) == jax.tree.structure(params)


def test_a_token_may_span_several_frames():
  """Of a real network, whose clips have fewer tokens than frames in time."""
  run = load_config(f'{_CONFIGS}/videomae.py:variant=tiny,runlocal')
  model = build_model(run.model)
  video = np.zeros((1, 8, SIZE, SIZE, 3), np.uint8)
  init = functools.partial(model.init, method='encode')
  functions = ModelFunctions(
    model, jax.jit(init)(jax.random.key(0), video)['params']
  )
  entry = {
    'name': 'point_tracking',
    'dataset': {'name': 'parallax', 'size': SIZE, 'num_videos': 2},
    'num_frames': 8,
    'encoders': ('trained', 'pixels'),
    'zero_shot': True,
  }
  asked = build_eval(
    ConfigDict(entry | {'data': {'crop': {'size': (SIZE, SIZE)}}}),
    run_config=run,
    batch_size=4,
  )
  assert asked.videos.tubelet_size == 2
  metrics, arrays = asked.run(functions)
  assert 0 <= metrics['trained/strided/AJ'] <= 1
  shapes = {k: arrays[f'points_0/{k}'].shape for k in ('trained', 'true')}
  assert shapes['trained'] == shapes['true']
