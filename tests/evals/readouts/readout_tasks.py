"""Tiny tasks of readout heads, whose answers colours tell."""

import functools

import jax
import numpy as np

from rvmae_jax.data.scenes import BOXES, DEPTH, POINTS
from rvmae_jax.data.scenes.videos import BoxVideo, DepthVideo, PointVideo
from rvmae_jax.evals.box_tracking import BoxTrackingEval
from rvmae_jax.evals.depth import DepthEval
from rvmae_jax.evals.point_tracking import PointTrackingEval
from rvmae_jax.evals.videos import Videos
from rvmae_jax.models import build_model

SIZE, PATCH, FRAMES = 32, 8, 4
VIDEOS = Videos(crop={'size': (SIZE, SIZE)}, patch_size=PATCH, batch_size=8)
HEAD = {'width': 32, 'num_heads': 2}
TASKS = {
  'depth': (DepthEval, DEPTH, HEAD),
  'point_tracking': (PointTrackingEval, POINTS, HEAD | {'query_width': 32}),
  'box_tracking': (BoxTrackingEval, BOXES, HEAD | {'query_width': 32}),
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
def tiny_network():
  """A recurrent network with CLS, and its parameters."""
  model = build_model(
    {'name': 'rvm', 'variant': 'tiny', 'patch_size': PATCH, 'encoder_blocks': 1}
  )
  init = functools.partial(model.init, method='encode')
  video = np.zeros((1, FRAMES, SIZE, SIZE, 3), np.uint8)
  return model, jax.jit(init)(jax.random.key(0), video)['params']
