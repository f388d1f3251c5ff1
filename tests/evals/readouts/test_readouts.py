"""Evaluations with readout heads: what a network knows is found, no more."""

import functools

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from rvmae_jax.data.scenes import POINTS
from rvmae_jax.data.scenes.videos import PointVideo
from rvmae_jax.evals.box_tracking import RelativeBoxes
from rvmae_jax.evals.depth import DepthEval
from rvmae_jax.evals.description import describe
from rvmae_jax.evals.point_tracking import PointTrackingEval, RelativePoints
from rvmae_jax.evals.readouts import in_chunks, summarise
from rvmae_jax.layers.readout import Tracks
from rvmae_jax.visualize import FIGURES
from tests.evals.readouts.readout_tasks import (
  FRAMES,
  HEAD,
  PATCH,
  SIZE,
  TASKS,
  VIDEOS,
  Oracle,
  evaluation,
)


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
    ({'tracker': {'radios': 3}}, r"tracker 'radios'.*'radius'"),
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
