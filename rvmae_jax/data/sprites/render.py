"""Draws sprites: appearances, and frames with their ground truth, in numpy.

Edges are smooth, so that a sprite can move by a part of a pixel; small frames
are drawn at twice their size and averaged down for that. The frame is a torus:
a sprite that leaves on one side comes in on the other.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from rvmae_jax.data.sprites import motions

_CHUNK = 16  # Frames drawn at a time.
# (cells of the noise across the frame, contrast).
BACKGROUNDS = {'plain': (4, 0.1), 'busy': (16, 0.3)}
# Keypoints: the centre, and points on four rays at this share of the outline.
_KEYPOINT_REACH = 0.6


class Sprite(NamedTuple):
  """What a sprite looks like, in its own coordinates (outline within [-1, 1]).

  Attributes:
    texture: [A, A, 4] float32 RGB times alpha, and alpha.
    keypoints: [5, 2] x and y: the centre and four points of the body.
  """

  texture: np.ndarray
  keypoints: np.ndarray


class Rendered(NamedTuple):
  """Frames and their ground truth; lengths in pixels of the frame.

  Attributes:
    frames: [T, H, W, 3] uint8 RGB.
    masks: [T, H, W] uint8, i + 1 where sprite i is seen, else 0.
    boxes: [T, S, 4] float32 x0, y0, x1, y1 of the whole sprite, hidden parts
      too. A sprite that wraps around keeps one box, which passes the edge.
    keypoints: [T, S, 5, 2] float32 x, y within the frame.
    visible: [T, S, 5] bool, whether the keypoint is seen.
    poses: [T, S, 4] float32 x, y, angle_rad, half_size.
  """

  frames: np.ndarray
  masks: np.ndarray
  boxes: np.ndarray
  keypoints: np.ndarray
  visible: np.ndarray
  poses: np.ndarray


def draw_sprite(rng: np.random.Generator, size: int) -> Sprite:
  """A star or a blob with stripes and noise, for frames of `size` pixels."""
  largest = motions.HALF_SIZE[1] / motions.FRAME * size * _supersampling(size)
  reach = int(np.ceil(largest))
  side = 2 * reach + 2  # A transparent rim of one texel.
  axis = (np.arange(side) + 0.5 - side / 2) / reach
  x, y = np.meshgrid(axis, axis)

  outline = draw_outline(rng)
  edge = outline(np.arctan2(y, x)) - np.hypot(x, y)
  alpha = np.clip(edge * reach + 0.5, 0, 1)

  direction, phase = rng.uniform(0, 2 * np.pi, 2)
  across = x * np.cos(direction) + y * np.sin(direction)
  stripes = 0.5 + 0.5 * np.sin(rng.uniform(4, 8) * across + phase)
  light, dark = np.sqrt(rng.uniform(0.2, 1, (2, 3))) * [[1], [0.6]]
  colour = dark + stripes[..., None] * (light - dark)
  colour += 0.15 * _smooth_noise(rng, cells=6, size=side)
  colour = np.clip(colour, 0, 1) * alpha[..., None]

  rays = rng.uniform(0, 2 * np.pi) + np.arange(4) * np.pi / 2
  body = np.stack([np.cos(rays), np.sin(rays)], axis=-1)
  body *= _KEYPOINT_REACH * outline(rays)[:, None]
  return Sprite(
    texture=np.dstack([colour, alpha]).astype(np.float32),
    keypoints=np.concatenate([np.zeros((1, 2)), body]),
  )


def draw_background(
  rng: np.random.Generator,
  size: int,
  kind: str = 'plain',
  is_seamless: bool = False,
) -> np.ndarray:
  """A dim texture.

  Args:
    rng: draws the colours and the texture.
    size: H and W of the frame.
    kind: a key of BACKGROUNDS, 'plain' (smooth) or 'busy' (fine, bolder).
    is_seamless: its edges fit together, so that it can be shifted around.

  Returns:
    [H, W, 3] float32 in [0, 1].
  """
  cells, contrast = BACKGROUNDS[kind]
  mean = rng.uniform(0.1, 0.4, 3)
  noise = _smooth_noise(rng, cells, size, is_seamless)
  return np.clip(mean + contrast * noise, 0, 1).astype(np.float32)


def render(
  background: np.ndarray,
  sprites: Sequence[Sprite],
  poses: np.ndarray,
  num_occluders: int = 0,
  camera: np.ndarray | None = None,
) -> Rendered:
  """Draws sprites over a background, the last one in front.

  Args:
    background: [H, W, 3] in [0, 1], square.
    sprites: S appearances, then those of the occluders.
    poses: [T, S + occluders, 4] in units of `motions.FRAME`.
    num_occluders: how many of the last sprites count as background.
    camera: [T, 2] x and y by which all of a frame is shifted, in the same
      units; the background has to be seamless. None: it stands still.
  """
  if camera is not None:
    poses = poses.copy()
    poses[..., :2] = (poses[..., :2] + camera[:, None]) % motions.FRAME
  # A few frames at a time: drawing resolution in float32 is large.
  chunks = [
    _render_chunk(
      background,
      sprites,
      poses[i : i + _CHUNK],
      num_occluders,
      None if camera is None else camera[i : i + _CHUNK],
    )
    for i in range(0, len(poses), _CHUNK)
  ]
  return Rendered(*map(np.concatenate, zip(*chunks)))


def _render_chunk(background, sprites, poses, num_occluders, camera):
  size = len(background)
  s = _supersampling(size)
  canvas = background.repeat(s, axis=0).repeat(s, axis=1)
  if camera is None:
    canvas = np.repeat(canvas[None], len(poses), axis=0)  # [T, s H, s W, 3]
  else:
    shifts = camera * (s * size / motions.FRAME)
    canvas = np.stack([_shifted(canvas, shift) for shift in shifts])
  owner = np.zeros(canvas.shape[:3], np.uint8)
  num_sprites = len(sprites) - num_occluders
  boxes = []
  for i, sprite in enumerate(sprites):
    number = i + 1 if i < num_sprites else 0
    pose = poses[:, i] * _unit(s * size)
    boxes.append(_paint(canvas, owner, number, sprite, pose))

  poses = poses[:, :num_sprites] * _unit(size)
  keypoints = [_place(sprites[i], poses[:, i]) for i in range(num_sprites)]
  keypoints = np.stack(keypoints, axis=1) % size
  # Wrapped once more: what lies just below the edge may round up to it.
  at = (keypoints * s).astype(int) % (s * size)
  frame = np.arange(len(poses))[:, None, None]
  seen = owner[frame, at[..., 1], at[..., 0]]
  return Rendered(
    frames=np.rint(255 * average_blocks(canvas, s)).astype(np.uint8),
    masks=_vote(owner, num_sprites + 1, s),
    boxes=np.stack(boxes[:num_sprites], axis=1).astype(np.float32) / s,
    keypoints=keypoints.astype(np.float32),
    visible=seen == np.arange(num_sprites)[:, None] + 1,
    poses=poses.astype(np.float32),
  )


def _shifted(image, shift):
  """A torus [L, L, 3] shifted by any fraction of pixels, x and y."""
  for axis, by in ((1, shift[0]), (0, shift[1])):
    whole = int(np.floor(by))
    image = np.roll(image, whole, axis)
    image = image + np.float32(by - whole) * (np.roll(image, 1, axis) - image)
  return image


def _unit(size):
  """What turns a pose in units of `motions.FRAME` into one in pixels."""
  scale = size / motions.FRAME
  return np.array([scale, scale, 1, scale])


def _paint(canvas, owner, number, sprite, poses):
  """Draws one sprite into all frames, in place; returns its boxes [T, 4].

  Args:
    canvas: [T, L, L, 3] float32.
    owner: [T, L, L] uint8, becomes `number` where the sprite is opaque.
    number: the sprite's value in `owner`.
    sprite: the appearance.
    poses: [T, 4] in pixels of the canvas.
  """
  center, angle, half_size = poses[:, :2], poses[:, 2], poses[:, 3]
  side = 2 * int(np.ceil(half_size.max())) + 2
  start = np.floor(center - side / 2).astype(int)  # [T, 2]
  pixels = start[:, None] + np.arange(side)[:, None]  # [T, side, 2]
  offset = (pixels + 0.5 - center[:, None]) / half_size[:, None, None]
  turn = np.stack([np.cos(angle), np.sin(angle)])[..., None, None]
  # In float32 from here, where there are many pixels.
  offset, (cos, sin) = np.float32(offset), np.float32(turn)
  dx, dy = offset[:, None, :, 0], offset[:, :, None, 1]
  patch = _sample(sprite.texture, cos * dx + sin * dy, cos * dy - sin * dx)

  frame = np.arange(len(poses))[:, None, None]
  wrapped = pixels % canvas.shape[1]
  at = (frame, wrapped[:, :, None, 1], wrapped[:, None, :, 0])
  canvas[at] = patch[..., :3] + (1 - patch[..., 3:]) * canvas[at]
  opaque = patch[..., 3] > 0.5
  owner[at] = np.where(opaque, number, owner[at])
  return np.concatenate([start, start], axis=1) + _extent(opaque)


def _sample(texture, x, y):
  """Bilinear samples of a square texture at x, y in its own coordinates."""
  side = len(texture)
  reach = side / 2 - 1  # Less the transparent rim.
  x = np.clip(x * reach + (side / 2 - 0.5), 0, side - 1.001)
  y = np.clip(y * reach + (side / 2 - 0.5), 0, side - 1.001)
  column, row = x.astype(np.int32), y.astype(np.int32)
  x, y = (x - column)[..., None], (y - row)[..., None]
  texels, first = texture.reshape(-1, 4), row * side + column

  def across(texel):
    left, right = texels.take(texel, axis=0), texels.take(texel + 1, axis=0)
    return left + x * (right - left)

  above, below = across(first), across(first + side)
  return above + y * (below - above)


def _place(sprite, poses):
  """Keypoints [T, 5, 2] of a sprite at poses [T, 4], not yet wrapped."""
  cos, sin = np.cos(poses[:, 2]), np.sin(poses[:, 2])
  turn = np.stack([cos, sin, -sin, cos], axis=-1).reshape(-1, 2, 2)
  return poses[:, None, :2] + poses[:, None, 3:] * (sprite.keypoints @ turn)


def _extent(opaque):
  """Boxes [T, 4] x0, y0, x1, y1 around the True pixels of [T, side, side]."""
  columns, rows = opaque.any(axis=1), opaque.any(axis=2)
  low = [a.argmax(axis=1) for a in (columns, rows)]
  high = [a.shape[1] - a[:, ::-1].argmax(axis=1) for a in (columns, rows)]
  return np.stack(low + high, axis=1)


def _supersampling(size):
  """How many times larger a frame is drawn; large sprites need no help."""
  return 2 if size < 128 else 1


def average_blocks(canvas: np.ndarray, s: int) -> np.ndarray:
  """Averages blocks of s x s pixels: [T, s H, s W, ...] -> [T, H, W, ...]."""
  return sum(canvas[:, i::s, j::s] for i in range(s) for j in range(s)) / s**2


def _vote(owner, num_values, s):
  """The most frequent value of each block of s x s pixels, [T, H, W] uint8."""
  shares = [average_blocks(owner == value, s) for value in range(num_values)]
  return np.argmax(shares, axis=0).astype(np.uint8)


def draw_outline(
  rng: np.random.Generator,
) -> Callable[[np.ndarray], np.ndarray]:
  """Radius as a function of the angle, at most 1: a star or a blob."""
  if rng.random() < 0.5:
    waves, depths = np.array([rng.integers(4, 7)]), np.array([0.28])
  else:
    waves, depths = np.arange(2, 5), rng.uniform(0.05, 0.15, 3)
  phases = rng.uniform(0, 2 * np.pi, len(waves))

  def radius(angle):
    bumps = depths * np.cos(waves * np.asarray(angle)[..., None] + phases)
    return (1 + bumps.sum(axis=-1)) / (1 + depths.sum())

  return radius


def _smooth_noise(rng, cells, size, is_seamless=False):
  """Bicubic noise [size, size, 3], about -1 to 1, with `cells` bumps across."""
  noise = rng.uniform(-1, 1, (3, cells, cells)).astype(np.float32)
  # Bicubic samples reach two cells far: around the edge if it is to fit there.
  rim = 2 if is_seamless else 0
  noise = np.pad(noise, ((0, 0), (rim, rim), (rim, rim)), mode='wrap')
  resized = [
    Image.fromarray(channel).resize(
      (size, size),
      Image.Resampling.BICUBIC,
      box=(rim, rim, rim + cells, rim + cells),
    )
    for channel in noise
  ]
  return np.stack(resized, axis=-1)
