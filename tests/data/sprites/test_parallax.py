"""Depth that motion tells and no single frame; points and boxes of it."""

import numpy as np
import pytest

from rvmae_jax.data.sprites.parallax import (
  DEPTH_M,
  FRAMES_AROUND,
  RADIUS,
  ParallaxConfig,
  make_scene,
)

PATCH = 8
SPEED = 2 * RADIUS * np.sin(np.pi / FRAMES_AROUND)  # At 1 m, frame widths.


def scenes(number, **settings):
  config = ParallaxConfig(**settings)
  return [make_scene(config, 'train', i) for i in range(number)]


def patches(frames):
  """[n, H, W, C] -> [n, h, w, p*p*C]."""
  n, height, width, channels = frames.shape
  cut = frames.reshape(
    n, height // PATCH, PATCH, width // PATCH, PATCH, channels
  )
  return cut.swapaxes(2, 3).reshape(n, height // PATCH, width // PATCH, -1)


def appearance(frames):
  """What a frame shows in a patch and around it, [n, h, w, F]."""
  frames = frames / 255 - 0.5
  change = np.stack(np.gradient(frames, axis=(1, 2)), -1)
  strength = np.square(change).sum((-1, -2))[..., None]
  parts = [patches(frames), patches(strength).mean(-1, keepdims=True)]
  spread = np.pad(
    np.concatenate([patches(frames**2), patches(frames)], -1)[..., ::8],
    ((0, 0), (1, 1), (1, 1), (0, 0)),
    mode='reflect',
  )
  height, width = parts[0].shape[1:3]
  parts += [
    spread[:, row : row + height, column : column + width]
    for row in range(3)
    for column in range(3)
  ]
  return np.concatenate(parts, -1)


def speeds(one, other):
  """How far each patch of a frame went until the next, in pixels."""
  reach = 6
  one, other = one.astype(float), other.astype(float)
  height = one.shape[1]
  padded = np.pad(other, ((0, 0), (reach,) * 2, (reach,) * 2, (0, 0)), 'edge')
  way, error = [], []
  for down in range(2 * reach + 1):
    for right in range(2 * reach + 1):
      moved = padded[:, down : down + height, right : right + height]
      way.append(np.hypot(down - reach, right - reach))
      error.append(np.square(patches(one - moved)).mean(-1))
  best = np.argmin(error, 0)
  return np.array(way)[best][..., None]


def ridge(train, target, test):
  mean, scale = train.mean(0), train.std(0) + 1e-6
  train, test = (train - mean) / scale, (test - mean) / scale
  gram = train.T @ train + 10 * len(train) * np.eye(train.shape[1])
  weights = np.linalg.solve(gram, train.T @ (target - target.mean()))
  return target.mean() + test @ weights


def nearest(train, target, test, count=25):
  mean, scale = train.mean(0), train.std(0) + 1e-6
  train, test = (train - mean) / scale, (test - mean) / scale
  distance = np.square(train).sum(1) - 2 * test @ train.T
  return target[np.argpartition(distance, count, axis=1)[:, :count]].mean(1)


@pytest.fixture(scope='module')
def probed():
  """Features of patches, three kinds, and their depth; of train and of test."""
  drawn = scenes(75, num_frames=2, num_points=1)
  frames = np.stack([scene.frames for scene in drawn])
  depth = patches(np.stack([s.depth for s in drawn])[:, 0, ..., None])
  # Where a patch is of one layer, so that it has one depth.
  whole = np.ptp(depth, axis=-1) == 0
  alone, moving = appearance(frames[:, 0]), speeds(frames[:, 0], frames[:, 1])
  # What would be seen if light fell off with the distance.
  depths = np.stack([scene.depth[0] for scene in drawn])[..., None]
  dimmed = appearance(frames[:, 0] / depths**0.5)
  rows = {}
  for name, part in (('train', slice(50)), ('test', slice(50, None))):
    rows[name] = tuple(
      values[part][whole[part]]
      for values in (alone, moving, dimmed, depth[..., 0])
    )
  return rows


def error_of(method, probed, features):
  """The probe's squared error in that of the mean depth."""
  train, test = probed['train'], probed['test']
  pred = method(train[features], train[-1], test[features])
  mean_answer = np.square(train[-1].mean() - test[-1]).mean()
  return np.square(pred - test[-1]).mean() / mean_answer


@pytest.mark.parametrize('method', [ridge, nearest])
def test_a_single_frame_does_not_tell_depth(probed, method):
  assert error_of(method, probed, 0) > 0.97


def test_the_same_probes_would_notice(probed):
  assert error_of(ridge, probed, 2) < 0.9


def test_two_frames_do(probed):
  assert error_of(nearest, probed, 1) < 0.4


def test_both_layers_are_near_as_often_and_at_any_distance():
  """Uniform distances, of the ground as of shapes: mean 2.5, deviation 0.87."""
  drawn = scenes(300, size=16, num_frames=1, num_points=1)
  ground, shapes = [], []
  for scene in drawn:
    values, counts = np.unique(scene.depth, return_counts=True)
    if len(values) == 2:  # Shapes cover less than half.
      ground.append(values[counts.argmax()])
      shapes.append(values[counts.argmin()])
  assert len(ground) > 250
  for distances in (ground, shapes):
    assert np.mean(distances) == pytest.approx(2.5, abs=0.15)
    assert np.std(distances) == pytest.approx(3 / 12**0.5, abs=0.1)
  assert np.mean(np.array(ground) < shapes) == pytest.approx(0.5, abs=0.08)


def test_points_move_as_their_distance_says():
  [scene] = scenes(1, num_frames=6)
  step = np.linalg.norm(np.diff(scene.points, axis=1), axis=-1)
  # Constant, and the inverse of one of the two distances.
  np.testing.assert_allclose(step, step[:, :1].repeat(5, 1), rtol=1e-3)
  distances = SPEED / step[:, 0]
  true = np.unique(scene.depth)
  assert np.abs(distances[:, None] - true).min(1).max() < 1e-2
  assert DEPTH_M[0] <= distances.min() <= distances.max() <= DEPTH_M[1]


def test_visible_points_lie_at_their_distance_and_look_alike():
  differences, seen = [], 0
  for scene in scenes(3, size=128, num_frames=6):
    step = np.linalg.norm(np.diff(scene.points, axis=1), axis=-1)
    distance = SPEED / step[:, 0]
    for number, frame in np.argwhere(scene.visible):
      x, y = (scene.points[number, frame] * 128).astype(int)
      assert scene.depth[frame, y, x] == pytest.approx(distance[number], 1e-2)
      first = scene.visible[number].argmax()
      u, v = (scene.points[number, first] * 128).astype(int)
      colours = scene.frames[[frame, first], [y, v], [x, u]].astype(float)
      differences.append(np.abs(np.diff(colours, axis=0)).mean())
      seen += 1
  # Up to half a pixel of smooth texture.
  assert np.median(differences) < 6
  hidden = 1 - seen / (3 * 32 * 6)
  assert 0.02 < hidden < 0.5


def test_boxes_are_those_of_the_shapes():
  num_whole = 0
  for scene in scenes(4, size=128, num_frames=2):
    values, counts = np.unique(scene.depth, return_counts=True)
    is_shape = scene.depth == values[counts.argmin()]
    covered = np.zeros_like(is_shape)
    for box in scene.boxes:
      for frame, (y1, x1, y2, x2) in enumerate(128 * box):
        if not np.isnan(y1):
          rows = slice(round(y1), max(round(y2), round(y1) + 1))
          columns = slice(round(x1), max(round(x2), round(x1) + 1))
          inside = is_shape[frame, rows, columns]
          covered[frame, rows, columns] = True
          if min(y1, x1) > 0 and max(y2, x2) < 128:
            assert 0.35 < inside.mean() < 0.95
            for edge in (inside[:2], inside[-2:], inside.T[:2], inside.T[-2:]):
              assert edge.any()
            num_whole += 1
    assert (is_shape & ~covered).mean() < 0.003
  assert num_whole > 20


def test_a_video_depends_on_its_number_alone():
  config = ParallaxConfig(size=32, num_frames=2)
  one, again = (make_scene(config, 'train', 3) for _ in range(2))
  for left, right in zip(one, again):
    np.testing.assert_array_equal(left, right)
  for other in (
    make_scene(config, 'train', 4),
    make_scene(config, 'test', 3),
    make_scene(ParallaxConfig(size=32, num_frames=2, seed=1), 'train', 3),
  ):
    assert (other.frames != one.frames).any()


@pytest.mark.parametrize(
  ('settings', 'message'),
  [({'size': 8}, 'size=8'), ({'num_points': 0}, 'num_points=0')],
)
def test_sizes_that_cannot_be(settings, message):
  with pytest.raises(ValueError, match=message):
    ParallaxConfig(**settings)
