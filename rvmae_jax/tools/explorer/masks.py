"""The tab Masks: what a strategy hides of a clip, and what the encoder sees."""

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from rvmae_jax.data.augmentation.geometry import Crop
from rvmae_jax.data.flow import FLOWS, ClipFlow
from rvmae_jax.masking import MASKS, build_mask
from rvmae_jax.masking.clusters import ORDERS
from rvmae_jax.visualize.batch import hide_patches, hide_tubelets
from rvmae_jax.visualize.style import new_figure, show, styled

# Settings whose values are names.
CHOICES = {'order': ORDERS, 'flow': tuple(FLOWS.names())}
# In place of defaults that are made for larger frames than those of sprites.
_DEFAULTS = {'cluster': (2, 4, 4)}
# Of a strategy with source frames, at most.
_NUM_SOURCE = 4
_MOST_COLUMNS = 8
_ARROWS = 12  # Along the longer edge.


class Masked(NamedTuple):
  """A clip and what is left of it.

  Attributes:
    masked: [T, H, W, 3] uint8, what is hidden in grey.
    tokens: [rows, p, K * p, 3] uint8, what the encoder gets: the patches that
      are left, in order, those of a frame or a step in a row. Of a token of
      several frames, its first.
    summary: the counts, in a sentence.
    flow: [T, H, W, 2] in pixels, that the strategy followed; or None.
  """

  masked: np.ndarray
  tokens: np.ndarray
  summary: str
  flow: np.ndarray | None


def settings_of(name: str) -> dict[str, Any]:
  """The settings of a strategy, and values to begin with."""
  parameters = inspect.signature(MASKS.get(name)).parameters.values()
  found = {p.name: p.default for p in parameters if p.name != 'grid'}
  return found | {key: _DEFAULTS[key] for key in found.keys() & _DEFAULTS}


def mask_video(
  video: np.ndarray,
  name: str,
  settings: Mapping[str, Any],
  patch_size: int,
  tubelet_size: int = 1,
  seed: int = 0,
) -> Masked:
  """Hides tokens of a clip.

  A strategy that hides target frames gets the first four frames, or half of a
  shorter clip, as sources and the rest as targets.

  Args:
    video: [T, H, W, 3] uint8.
    name: of `MASKS`.
    settings: of the strategy.
    patch_size, tubelet_size: pixels and frames of a token; target frames are
      always masked one by one.
    seed: of what is drawn.

  Raises:
    ValueError: a setting makes no sense, or tokens do not tile the clip.
    ImportError: the strategy follows optical flow, and OpenCV is missing.
  """
  num_frames, height, width, _ = video.shape
  grid = height // patch_size, width // patch_size
  config, rng = {'name': name, **settings}, np.random.default_rng(seed)
  if MASKS.get(name).layout.hides == 'target':
    num_source = min(_NUM_SOURCE, num_frames // 2)
    if not num_source:
      raise ValueError(f'Mask {name!r} needs a source and a target: 2 frames.')
    source, target = video[:num_source], video[num_source:]
    shape = {'video': num_source, 'target': len(target)}
    ids = build_mask(config, shape, grid)({'target': target}, rng)
    ids_keep = ids['ids_keep']
    hidden = hide_patches(target, ids_keep, patch_size)
    # Sources are seen whole.
    whole = np.broadcast_to(
      np.arange(np.prod(grid)), (num_source, np.prod(grid))
    )
    sees = [*whole, *ids_keep]
    patches = cut_patches(video, patch_size, 1)
    tokens = in_rows([patches[t][row] for t, row in enumerate(sees)])
    return Masked(
      np.concatenate([source, hidden]),
      tokens,
      f'{num_source} source frames whole; of each of {len(target)} target '
      f'frames {_share(ids_keep.shape[1], np.prod(grid))}.',
      None,
    )
  if num_frames % tubelet_size:
    raise ValueError(
      f'Tokens of {tubelet_size} frames do not tile a clip of {num_frames}; '
      f'use a multiple of {tubelet_size}.'
    )
  mask = build_mask(config, {'video': num_frames}, grid, tubelet_size)
  clip, flow = {'video': video}, None
  if getattr(mask, 'flow', None):
    whole = Crop((height, width), (0, 0, width, height))
    clip['flow'] = flow = ClipFlow(mask.flow)(video, whole)
  ids = mask(clip, rng)
  ids_keep, ids_mask = ids['ids_keep'], ids['ids_mask']
  patches = cut_patches(video, patch_size, tubelet_size)
  num_tokens = patches.shape[0] * patches.shape[1]
  flat = patches.reshape(num_tokens, *patches.shape[2:])
  if ids_keep.ndim == 2:  # Steps.
    rows, steps = [flat[row] for row in ids_keep], len(ids_keep)
    then = f', in {steps} steps of {ids_mask.shape[1]} tokens to predict'
  else:
    slots = ids_keep // patches.shape[1]
    rows = [flat[ids_keep[slots == s]] for s in range(len(patches))]
    rebuilt = len(ids_mask) if ids_mask.ndim == 1 else ids_mask.size
    then = f'; {rebuilt} are rebuilt'
  return Masked(
    hide_tubelets(video, ids_keep, ids_mask, patch_size, tubelet_size),
    in_rows(rows),
    f'{_share(ids_keep.size, num_tokens)}{then}.',
    flow,
  )


def _share(num_visible: int, num_tokens: int) -> str:
  share = 100 * num_visible / num_tokens
  return f'{num_visible} of {num_tokens} tokens are visible ({share:.1f} %)'


def cut_patches(
  video: np.ndarray, patch_size: int, tubelet_size: int
) -> np.ndarray:
  """The patches of each slot's first frame, [t, h*w, p, p, 3]."""
  first, p = video[::tubelet_size], patch_size
  num_slots, height, width, _ = first.shape
  # [t, h, p, w, p, 3] -> [t, h, w, p, p, 3]
  patches = first.reshape(num_slots, height // p, p, width // p, p, 3)
  return patches.swapaxes(2, 3).reshape(num_slots, -1, p, p, 3)


def in_rows(rows: list[np.ndarray]) -> np.ndarray:
  """Patches [K, p, p, 3] of each row beside each other: [rows, p, W, 3].

  Rows that have fewer are filled up with white, an empty one is white.
  """
  most = max(map(len, rows))
  p = rows[0].shape[1]
  laid = np.full((len(rows), p, most, p, 3), 255, np.uint8)
  for place, row in zip(laid, rows):
    place[:, : len(row)] = row.swapaxes(0, 1)
  return laid.reshape(len(rows), p, most * p, 3)


@styled
def draw_sheet(video: np.ndarray, masked: np.ndarray) -> Any:
  """Frames, and what is left of them, time to the right; at most eight.

  Args:
    video, masked: [T, H, W, 3] uint8.
  """
  times = _spread(len(video))
  figure = new_figure(
    7, 2 * 7 / len(times) * video.shape[1] / video.shape[2] + 0.3
  )
  axes = figure.subplots(2, len(times), squeeze=False)
  for column, time in zip(axes.T, times):
    show(column[0], video[time], f'frame {time}')
    show(column[1], masked[time])
  return figure


@styled
def draw_tokens(tokens: np.ndarray) -> Any:
  """The patches that the encoder gets, a row for each slot; see `Masked`."""
  p, width = tokens.shape[1:3]
  # A line of white between rows.
  spaced = np.pad(
    tokens, ((0, 0), (0, max(1, p // 8)), (0, 0), (0, 0)), constant_values=255
  )
  picture = spaced.reshape(-1, width, 3)
  ratio = picture.shape[0] / width
  edge = min(7, 6 / ratio)
  figure = new_figure(edge, edge * ratio)
  show(figure.subplots(), picture)
  return figure


@styled
def draw_flow(video: np.ndarray, flow: np.ndarray) -> Any:
  """Arrows from each frame to its neighbour towards the middle one.

  Args:
    video: [T, H, W, 3] uint8.
    flow: [T, H, W, 2] right and down, in pixels.
  """
  times = _spread(len(video))
  height, width = video.shape[1:3]
  figure = new_figure(7, 7 / len(times) * height / width + 0.3)
  step = max(1, max(height, width) // _ARROWS)
  rows, columns = np.mgrid[step // 2 : height : step, step // 2 : width : step]
  for axes, time in zip(
    figure.subplots(1, len(times), squeeze=False)[0], times
  ):
    show(axes, video[time], f'frame {time}')
    right, down = np.moveaxis(flow[time][rows, columns], -1, 0)
    axes.quiver(
      columns,
      rows,
      right,
      down,
      color='white',
      edgecolor='black',
      linewidth=0.4,
      angles='xy',
      scale_units='xy',
      scale=1,
      width=0.012,
    )
  return figure


def _spread(num_frames: int) -> np.ndarray:
  """The frames of a sheet."""
  count = min(num_frames, _MOST_COLUMNS)
  return np.linspace(0, num_frames - 1, count).round().astype(int)
