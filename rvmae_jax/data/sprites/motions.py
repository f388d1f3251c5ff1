"""The twelve motions of a sprite, as poses over time on a torus.

Lengths are in units of a frame 64 wide, so that every frame size shows the same
scene; x points right, y down, and a growing angle turns clockwise as seen.

One frame tells nothing about the motion: a motion only adds to a start pose
that is uniform in position, angle and size, and positions wrap around, angles
too, and sizes run through a sawtooth. So every pose is equally likely in every
frame of every motion.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rvmae_jax.registry import near_names

FRAME = 64.0
HALF_SIZE = (9.0, 19.0)
SPEED = (2.0, 5.0)  # Per frame.
SPIN_RAD = (0.2, 0.5)  # Own rotation, per frame.
GROWTH = (0.6, 1.2)  # Of the half size, per frame.
RADIUS = (8.0, 14.0)  # Of an orbit, and the amplitude of an oscillation.
ORBIT_RAD = (0.4, 0.8)  # Per frame.
PAN = (0.5, 2.0)  # Of the camera, per frame: less than any sprite's speed.

MOTIONS = (
  'right',
  'left',
  'down',
  'up',
  'rotate_cw',
  'rotate_ccw',
  'zoom_in',
  'zoom_out',
  'orbit_cw',
  'orbit_ccw',
  'oscillate_horizontal',
  'oscillate_vertical',
)
STILL = 'still'  # Between the motions of an untrimmed video; not a class.


def draw_pose(rng: np.random.Generator) -> np.ndarray:
  """A uniform start pose [4]: x, y, angle_rad, half_size."""
  low, high = HALF_SIZE
  return rng.uniform((0, 0, 0, low), (FRAME, FRAME, 2 * np.pi, high))


class Rates(NamedTuple):
  """How fast and how far a motion goes; each uses what it needs.

  Attributes:
    speed: of straight motion.
    spin: of the own rotation.
    growth: of the half size.
    radius: of an orbit or oscillation.
    orbit: its angle.
    phase: where on the circle it starts.
  """

  speed: float
  spin: float
  growth: float
  radius: float
  orbit: float
  phase: float


_RANGES = Rates(SPEED, SPIN_RAD, GROWTH, RADIUS, ORBIT_RAD, (0, 2 * np.pi))


def draw_rates(rng: np.random.Generator) -> Rates:
  """Draws all rates, uniform in their ranges, whichever a motion needs."""
  return Rates(*rng.uniform(*zip(*_RANGES)))


def relative_pace(motion: str, rates: Rates) -> float:
  """How fast a motion is among those of its kind, from 0 to 1."""
  kind = motion.split('_')[0]
  name = {
    'rotate': 'spin',
    'zoom': 'growth',
    'orbit': 'orbit',
    'oscillate': 'orbit',
  }.get(kind, 'speed')
  low, high = getattr(_RANGES, name)
  return (getattr(rates, name) - low) / (high - low)


def trajectory(
  motion: str, start: np.ndarray, num_frames: int, rng: np.random.Generator
) -> np.ndarray:
  """Poses of one motion that begins at `start`.

  Args:
    motion: one of `MOTIONS`, or `STILL`.
    start: [4], the pose of frame 0.
    num_frames: T.
    rng: draws the rates.

  Returns:
    [T, 4] x, y, angle_rad, half_size.

  Raises:
    ValueError: an unknown motion.
  """
  t = np.arange(num_frames)
  speed, spin, growth, radius, orbit, phase = draw_rates(rng)
  dx, dy, turn, grow = np.zeros((4, num_frames))
  match motion:
    case 'still':
      pass
    case 'right':
      dx = speed * t
    case 'left':
      dx = -speed * t
    case 'down':
      dy = speed * t
    case 'up':
      dy = -speed * t
    case 'rotate_cw':
      turn = spin * t
    case 'rotate_ccw':
      turn = -spin * t
    case 'zoom_in':
      grow = growth * t
    case 'zoom_out':
      grow = -growth * t
    case 'orbit_cw':
      dx, dy = radius * _circle(phase, orbit * t)
    case 'orbit_ccw':
      dx, dy = radius * _circle(phase, -orbit * t)
    case 'oscillate_horizontal':
      dx, _ = radius * _circle(phase, orbit * t)
    case 'oscillate_vertical':
      dy, _ = radius * _circle(phase, orbit * t)
    case _:
      raise ValueError(
        f'Unknown motion {motion!r}. {near_names(motion, MOTIONS)}'
      )
  x, y, angle, half_size = start
  low, high = HALF_SIZE
  return np.stack(
    [
      (x + dx) % FRAME,
      (y + dy) % FRAME,
      (angle + turn) % (2 * np.pi),
      low + (half_size - low + grow) % (high - low),
    ],
    axis=-1,
  )


def pan(num_frames: int, rng: np.random.Generator) -> np.ndarray:
  """Shifts [num_frames, 2] x, y of all that a moving camera sees."""
  angle, speed = rng.uniform((0, PAN[0]), (2 * np.pi, PAN[1]))
  step = speed * np.array([np.cos(angle), np.sin(angle)])
  return np.arange(num_frames)[:, None] * step


def chain(
  segments: Sequence[tuple[str, int]], rng: np.random.Generator
) -> np.ndarray:
  """Poses of several motions, each beginning where the one before led.

  Args:
    segments: (motion, number of frames) in order.
    rng: draws the start pose and each motion's speeds.

  Returns:
    [sum of the lengths, 4] x, y, angle_rad, half_size.
  """
  start, poses = draw_pose(rng), []
  for motion, num_frames in segments:
    *segment, start = trajectory(motion, start, num_frames + 1, rng)
    poses += segment
  return np.array(poses)


def _circle(phase: float, angle: np.ndarray) -> np.ndarray:
  """[2, T]: x and y on the unit circle, measured from where it starts."""
  path = np.stack([np.cos(phase + angle), np.sin(phase + angle)])
  return path - path[:, :1]
