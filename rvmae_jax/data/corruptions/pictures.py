"""Corruptions of what is seen; each is drawn once for all frames of a clip."""

import numpy as np
from PIL import Image

from rvmae_jax.data.decoding import open_record
from rvmae_jax.data.encoding import Encoding, encode_record

_GREY = 128


def occlude(
  video: np.ndarray, share: float, rng: np.random.Generator
) -> np.ndarray:
  """A grey box stands still in front of `share` of the frame."""
  video = video.copy()
  size = np.array(video.shape[1:3])
  box = np.round(np.sqrt(share) * size).astype(int)
  top, left = np.round(rng.random(2) * (size - box)).astype(int)
  video[:, top : top + box[0], left : left + box[1]] = _GREY
  return video


def blur(
  video: np.ndarray, length: float, rng: np.random.Generator
) -> np.ndarray:
  """The camera shakes: every pixel is smeared along one line.

  Args:
    video: [T, H, W, 3] uint8.
    length: of the line, as a share of the short side.
    rng: draws its direction.
  """
  kernel = line_kernel(length * min(video.shape[1:3]), rng.uniform(0, np.pi))
  height, width = video.shape[1:3]
  reach = len(kernel) // 2
  padding = (0, 0), (reach, reach), (reach, reach), (0, 0)
  padded = np.pad(video, padding, mode='edge').astype(np.float32)
  smeared = np.zeros(video.shape, np.float32)
  for y, x in np.argwhere(kernel):
    smeared += kernel[y, x] * padded[:, y : y + height, x : x + width]
  return _to_uint8(smeared)


def line_kernel(length: float, angle_rad: float) -> np.ndarray:
  """Weights [k, k] of a line through the centre; their sum is 1."""
  reach = int(np.ceil(length / 2)) + 1
  kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
  # Two samples for each pixel of the line, shared by the four pixels around.
  num_samples = 2 * int(np.ceil(length))
  along = length * ((np.arange(num_samples) + 0.5) / num_samples - 0.5)
  x, y = reach + along * np.cos(angle_rad), reach + along * np.sin(angle_rad)
  left, top = x.astype(int), y.astype(int)
  for dy in (0, 1):
    for dx in (0, 1):
      weight = (1 - abs(x - left - dx)) * (1 - abs(y - top - dy))
      np.add.at(kernel, (top + dy, left + dx), weight)
  return kernel / kernel.sum()


def add_noise(
  video: np.ndarray, deviation: float, rng: np.random.Generator
) -> np.ndarray:
  """Gaussian noise, new in every frame; its deviation as a share of white."""
  noise = rng.standard_normal(video.shape, np.float32)
  return _to_uint8(video + 255 * deviation * noise)


def compress(
  video: np.ndarray, rate_factor: float, rng: np.random.Generator
) -> np.ndarray:
  """Encoded as H.264 and decoded again; from 0, lossless, to 51, the worst."""
  del rng
  num_frames, height, width = video.shape[:3]
  # The codec wants even sides.
  even = np.pad(
    video, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode='edge'
  )
  record, _ = encode_record(
    {'path': '(clip)', 'label': -1, 'frames': even},
    Encoding(short_side=0, gop=num_frames, crf=rate_factor),
  )
  with open_record(record) as reader:
    return reader.read(range(num_frames))[:, :height, :width]


def brighten(
  video: np.ndarray, amount: float, rng: np.random.Generator
) -> np.ndarray:
  """All pixels lighter or darker by a share of white."""
  sign = rng.choice([-1, 1])
  return _to_uint8(video + np.float32(255 * sign * amount))


def shrink(
  video: np.ndarray, factor: float, rng: np.random.Generator
) -> np.ndarray:
  """Made smaller by `factor`, then enlarged again."""
  del rng
  height, width = video.shape[1:3]
  small = max(1, round(width / factor)), max(1, round(height / factor))

  def shrink_frame(frame):
    image = Image.fromarray(frame).resize(small, Image.Resampling.BICUBIC)
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))

  return np.stack([shrink_frame(frame) for frame in video])


def _to_uint8(pixels: np.ndarray) -> np.ndarray:
  return pixels.round().clip(0, 255).astype(np.uint8)
