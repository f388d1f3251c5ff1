"""Scenes of two layers that a moving camera sees: depth is in the motion alone.

Each scene has a ground and shapes, one at a distance of 1 to 4 m, the other
behind it. In half of the scenes the shapes are things in front of the ground;
in the others they are windows in it, through which a layer behind is seen. The
camera moves at a constant speed on a circle, without turning, and what is near
moves by more pixels.

One frame tells nothing about depth. Sizes, colours, textures and places are
drawn without regard to it, shapes do not overlap, and ground and shapes are
drawn alike. The two distances are those of two independent uniform draws, and
either layer is as likely to have the nearer one: so the distance of any pixel,
given all of its frame, is uniform. What tells is how fast a layer moves, and
which of the two the outlines move with.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from rvmae_jax.data.sprites.dataset import stream
from rvmae_jax.data.sprites.render import average_blocks, draw_outline

DEPTH_M = (1.0, 4.0)
# The camera's circle: its radius in frame widths at a distance of 1 m, and how
# many frames it takes to go around.
RADIUS = 0.3
FRAMES_AROUND = 24
HALF_SIZE = (0.09, 0.19)  # Of shapes, in frame widths.
# The layers repeat after so many frame widths, which is never seen.
_EXTENT = 2
_SUPERSAMPLING = 2
_NUM_SHAPES = 20
# Textures are noise: blobs of so many frame widths, and their share.
_SCALES = ((0.2, 0.4), (0.06, 0.4), (0.025, 0.2))
_MARGIN = 0.02  # Between shapes, in frame widths.


@dataclasses.dataclass(frozen=True)
class ParallaxConfig:
  """What is drawn.

  Attributes:
    size: H and W of a frame, in pixels.
    num_frames: T.
    num_points: that are followed in a video.
    seed: of everything.
  """

  size: int = 64
  num_frames: int = 16
  num_points: int = 32
  seed: int = 0

  def __post_init__(self):
    if self.size < 16:
      raise ValueError(f'size={self.size}: these scenes need at least 16.')
    for name in ('num_frames', 'num_points'):
      if getattr(self, name) < 1:
        raise ValueError(f'{name}={getattr(self, name)}: it must be positive.')


class ParallaxScene(NamedTuple):
  """Frames and their truth; places are shares of the frame.

  Attributes:
    frames: [T, H, W, 3] uint8.
    depth: [T, H, W] float32, in metres.
    points: [N, T, 2] float32 x and y.
    visible: [N, T] bool; not where the other layer covers the point, nor
      outside of the frame.
    boxes: [S, T, 4] float32 y1, x1, y2, x2 of the shapes, as far as they are in
      the frame; NaN where they are not.
  """

  frames: np.ndarray
  depth: np.ndarray
  points: np.ndarray
  visible: np.ndarray
  boxes: np.ndarray


def make_scene(config: ParallaxConfig, split: str, index: int) -> ParallaxScene:
  """Draws video `index` of a split, with its truth."""
  # What a scene looks like cannot depend on how far away it is.
  looks = stream(config, split, index, 'appearance')
  space = stream(config, split, index, 'distance')
  size = config.size * _SUPERSAMPLING
  near, far = np.sort(space.uniform(*DEPTH_M, 2))
  has_windows = space.random() < 0.5
  # Of the ground, and of the shapes.
  depths = np.array([near, far] if has_windows else [far, near])
  camera = _camera(space, config.num_frames) * RADIUS  # [T, 2]
  offsets = camera[:, None] / depths[:, None]  # [T, 2 layers, 2]
  outline_offsets = offsets[:, 0 if has_windows else 1]  # [T, 2]

  textures = [_draw_texture(looks, size) for _ in depths]
  shapes = _draw_shapes(looks, size)
  frames, owners = [], []
  for time in range(config.num_frames):
    ground, inside = (
      _shifted(texture, offset * size, size)
      for texture, offset in zip(textures, offsets[time])
    )
    mask = _shifted(shapes.mask, outline_offsets[time] * size, size) > 0.5
    frames.append(np.where(mask[..., None], inside, ground))
    owners.append(mask)
  frames, owners = np.stack(frames), np.stack(owners)
  owner = average_blocks(owners.astype(np.float32), _SUPERSAMPLING) >= 0.5
  points, visible = _follow(space, offsets, owner, config.num_points)
  return ParallaxScene(
    np.rint(255 * average_blocks(frames, _SUPERSAMPLING)).astype(np.uint8),
    depths[owner.astype(int)].astype(np.float32),
    points,
    visible,
    _boxes(shapes, outline_offsets),
  )


def _camera(rng: np.random.Generator, num_frames: int) -> np.ndarray:
  """Shifts [T, 2] of a thing at 1 m, in radii of the circle."""
  start, sense = rng.uniform(0, 2 * np.pi), rng.choice([-1, 1])
  angle = start + sense * 2 * np.pi / FRAMES_AROUND * np.arange(num_frames)
  return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def _draw_texture(rng: np.random.Generator, size: int) -> np.ndarray:
  """Noise around a colour that repeats seamlessly, [side, side, 3] in 0..1."""
  side = _EXTENT * size
  frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(side) * size] * 2))
  power = np.zeros((side, side))
  for scale, share in _SCALES:
    blur = np.exp(-((np.pi * frequency * scale) ** 2))
    power += share * blur / blur.sum()
  rough = np.fft.rfft2(rng.normal(size=(side, side, 3)), axes=(1, 0))
  smooth = np.sqrt(power)[: side // 2 + 1, :, None] * rough
  noise = np.fft.irfft2(smooth, axes=(1, 0))
  noise /= noise.std()
  texture = rng.uniform(0.3, 0.7, 3) + rng.uniform(0.1, 0.2) * noise
  return np.clip(texture, 0, 1).astype(np.float32)


class _Shapes(NamedTuple):
  """Where shapes are before the camera moves.

  Attributes:
    mask: [side, side] float32, 1 inside.
    boxes: [S, 4] y1, x1, y2, x2 in frame widths; the first corner lies in
      0.._EXTENT, and a box may pass the edge.
  """

  mask: np.ndarray
  boxes: np.ndarray


def _draw_shapes(rng: np.random.Generator, size: int) -> _Shapes:
  """Shapes at places where they do not touch."""
  side = _EXTENT * size
  mask = np.zeros((side, side), np.float32)
  places, boxes = [], []
  for _ in range(50 * _NUM_SHAPES):
    if len(places) == _NUM_SHAPES:
      break
    x, y = rng.uniform(0, _EXTENT, 2)
    half_size = rng.uniform(*HALF_SIZE)
    if any(
      np.hypot(_around(x - u), _around(y - v)) < half_size + other + _MARGIN
      for u, v, other in places
    ):
      continue
    places.append((x, y, half_size))
    outline = draw_outline(rng)
    # The pixels around it, which may pass the edge.
    reach = int(half_size * size) + 2
    columns, rows = (
      int(at * size) + np.arange(-reach, reach + 1) for at in (x, y)
    )
    dx, dy = np.meshgrid((columns + 0.5) / size - x, (rows + 0.5) / size - y)
    is_inside = np.hypot(dx, dy) < half_size * outline(np.arctan2(dy, dx))
    mask[np.ix_(rows % side, columns % side)] += is_inside
    angle = np.linspace(0, 2 * np.pi, 256)
    edge = half_size * outline(angle)
    across, down = x + edge * np.cos(angle), y + edge * np.sin(angle)
    boxes.append([down.min(), across.min(), down.max(), across.max()])
  return _Shapes(mask, np.array(boxes))


def _around(distance: np.ndarray) -> np.ndarray:
  """The shortest way on a layer that repeats."""
  return (distance + _EXTENT / 2) % _EXTENT - _EXTENT / 2


def _shifted(layer: np.ndarray, offset: np.ndarray, size: int) -> np.ndarray:
  """What the frame sees of a layer that moved.

  Args:
    layer: [side, side, ...], repeats at its edges.
    offset: x and y in pixels, of any fraction.
    size: H and W.

  Returns:
    [H, W, ...].
  """
  whole = np.floor(-offset).astype(int)
  right, down = -offset - whole
  columns, rows = (
    (start + np.arange(size + 1)) % len(layer) for start in whole
  )
  seen = layer[rows[:, None], columns]
  seen = seen[:, :-1] + np.float32(right) * (seen[:, 1:] - seen[:, :-1])
  return seen[:-1] + np.float32(down) * (seen[1:] - seen[:-1])


def _follow(
  rng: np.random.Generator,
  offsets: np.ndarray,
  owner: np.ndarray,
  num_points: int,
) -> tuple[np.ndarray, np.ndarray]:
  """Points on what is seen at some place and time: [N, T, 2] and [N, T]."""
  num_frames, size = owner.shape[:2]
  time = rng.integers(num_frames, size=num_points)
  place = rng.integers(size, size=(num_points, 2))  # x and y
  layer = owner[time, place[:, 1], place[:, 0]].astype(int)
  moved = offsets[:, layer] - offsets[time, layer]  # [T, N, 2]
  points = ((place + 0.5) / size + moved).swapaxes(0, 1)
  at = np.floor(points * size).astype(int)
  is_inside = ((at >= 0) & (at < size)).all(-1)
  x, y = np.moveaxis(np.clip(at, 0, size - 1), -1, 0)
  seen = owner[np.arange(num_frames), y, x] == layer[:, None]
  return points.astype(np.float32), seen & is_inside


def _boxes(shapes: _Shapes, offsets: np.ndarray) -> np.ndarray:
  """Boxes [S, T, 4] within the frame, of shapes that are ever in it."""
  boxes = shapes.boxes[:, None] + np.tile(offsets[:, ::-1], 2)  # [S, T, 4]
  extent = boxes[..., 2:] - boxes[..., :2]
  # Of all its copies, the one that ends after the frame begins.
  high = boxes[..., 2:] % _EXTENT
  low, high = np.maximum(high - extent, 0), np.minimum(high, 1)
  is_seen = (low < high).all(-1, keepdims=True)
  boxes = np.where(is_seen, np.concatenate([low, high], axis=-1), np.nan)
  return boxes[is_seen.any((1, 2))].astype(np.float32)
