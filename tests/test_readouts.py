"""Readouts learn from drawn scenes what losses ask for and metrics measure."""

import jax
import numpy as np
import optax

from rvmae_jax.data.frames import read_frames
from rvmae_jax.data.scenes import BOXES, DEPTH, POINTS
from rvmae_jax.layers.readout import READOUTS, point_queries
from rvmae_jax.losses import readouts as losses
from rvmae_jax.metrics.boxes import tracked_iou
from rvmae_jax.metrics.depth import depth_scores
from rvmae_jax.metrics.points import RASTER, point_scores, sample_queries

FRAMES, SIZE, PATCH = 4, 32, 8


def one_scene(table):
  return table.build(
    {'name': 'parallax', 'num_videos': 1, 'size': SIZE, 'num_frames': FRAMES}
  )[0]


def features_of(video):
  """Patches of the frames, [1, T, N, C]."""
  frames = np.stack(list(read_frames(video.video))) / np.float32(255) - 0.5
  cut = frames.reshape(FRAMES, SIZE // PATCH, PATCH, SIZE // PATCH, PATCH, 3)
  return cut.swapaxes(2, 3).reshape(1, FRAMES, -1, PATCH * PATCH * 3)


def learn(name, inputs, loss, **fields):
  """What a readout answers after it has seen one clip many times."""
  readout = READOUTS.build(
    {'name': name, 'width': 32, 'num_heads': 2, **fields}
  )
  params = jax.jit(readout.init)(jax.random.key(0), *inputs)
  optimizer = optax.adam(1e-2)

  def step(carry, _):
    params, moments = carry
    gradients = jax.grad(lambda p: loss(readout.apply(p, *inputs)))(params)
    updates, moments = optimizer.update(gradients, moments)
    return (optax.apply_updates(params, updates), moments), None

  @jax.jit
  def train(params):
    carry, _ = jax.lax.scan(step, (params, optimizer.init(params)), length=120)
    return readout.apply(carry[0], *inputs)

  return jax.tree.map(np.asarray, train(params))


def test_depth():
  video = one_scene(DEPTH)
  true = np.stack([video.depth(t) for t in range(FRAMES)])[None]
  true[:, :, :4] = np.nan  # No truth there.
  pred = learn(
    'depth',
    [features_of(video)],
    lambda pred: losses.l2(pred, true).mean(),
    frames_shape=(FRAMES, SIZE, SIZE),
  )
  mean = depth_scores(np.full_like(true, np.nanmean(true)), true)
  scores = depth_scores(pred, true)
  assert scores['AbsRel'] < 0.6 * mean['AbsRel']
  assert scores['RMSE'] < 0.6 * mean['RMSE']


def test_points():
  video = one_scene(POINTS)
  queries, tracks = sample_queries(video.points, video.visible, 'first')
  true, visible = video.points[tracks], video.visible[tracks]

  def loss(pred):
    terms = losses.point_terms(*pred, true[None], visible[None])
    weights = losses.POINT_WEIGHTS
    return sum(weights[name] * term.mean() for name, term in terms.items())

  # Places are shares of the frame already.
  inputs = [features_of(video), point_queries(queries[None], FRAMES, (1, 1))]
  tracked = learn('points', inputs, loss, num_frames=FRAMES, query_width=32)
  seen = 1 / (1 + np.exp(-tracked.visible)) / (1 + np.exp(-tracked.certain))
  still = np.repeat(queries[:, None, :0:-1], FRAMES, axis=1)
  scores, of_still = (
    point_scores(
      queries[:, 0].astype(int),
      RASTER * true,
      visible,
      RASTER * points,
      reported,
      'first',
    )
    for points, reported in (
      (tracked.points[0], seen[0] > 0.5),
      (still, np.ones_like(visible)),
    )
  )
  assert scores['AJ'] > of_still['AJ'] + 0.1
  assert scores['delta_average'] > of_still['delta_average'] + 0.2
  assert scores['OA'] >= of_still['OA']


def test_boxes():
  video = one_scene(BOXES)
  true = video.boxes[~np.isnan(video.boxes[:, 0]).any(-1)]
  pred = learn(
    'boxes',
    [features_of(video), true[None, :, 0]],
    lambda pred: losses.l2(pred, true[None]).mean(),
    num_frames=FRAMES,
    query_width=32,
  )
  still = np.repeat(true[:, :1], FRAMES, axis=1)
  assert tracked_iou(pred[0], true) > max(tracked_iou(still, true) + 0.2, 0.7)
