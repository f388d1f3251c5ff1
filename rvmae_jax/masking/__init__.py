"""Masks, drawn on the host: which tokens a model sees, which it rebuilds.

A mask is built once with its settings and the grid of tokens, and called for
every clip:

    mask = MASKS.build({'name': 'tube', 'ratio': 0.9}, grid=(8, 14, 14))
    clip = mask(clip, rng)  # adds `ids_keep` and `ids_mask`

It may look at all of the clip (frames, motion) and must draw only from `rng`.
How many tokens it keeps is fixed by its settings, so that shapes are static;
settings that make no sense fail when the mask is built, before any video is
read. A class says by its `layout`, a `batch.MaskLayout`, what its masks are. If
they hide tokens of target frames, its grid is (rows, columns) of a frame; if
they hide tokens of the clip, (slots, rows, columns) of that.

One that has a `flow`, the name of an estimator in `data/flow.py`, finds that
flow in the clip and takes it out.

To add one: a file beside this one, built on `masking/tokens.py`, and a line in
the table.
"""

from collections.abc import Mapping
from typing import Any

from rvmae_jax.batch import MaskLayout
from rvmae_jax.registry import Registry

MASKS = Registry(
  'mask',
  {
    'block': 'rvmae_jax.masking.block:BlockMask',
    'clusters': 'rvmae_jax.masking.clusters:ClusterMask',
    'frame_difference': (
      'rvmae_jax.masking.frame_difference:FrameDifferenceMask'
    ),
    'motion_guided': 'rvmae_jax.masking.motion_guided:MotionGuidedMask',
    'per_frame': 'rvmae_jax.masking.per_frame:PerFrameMask',
    'random': 'rvmae_jax.masking.random:RandomMask',
    'running_cell': 'rvmae_jax.masking.running_cell:RunningCellMask',
    'space_time': 'rvmae_jax.masking.space_time:SpaceTimeMask',
    'target': 'rvmae_jax.masking.target:TargetMask',
    'tube': 'rvmae_jax.masking.tube:TubeMask',
  },
)


def build_mask(
  config: Mapping[str, Any],
  num_frames: Mapping[str, int],
  grid: tuple[int, int],
  tubelet_size: int = 1,
) -> Any:
  """The mask of a config, for clips of a known shape; None without a config.

  Args:
    config: `config.data.mask`: `name` and the mask's settings.
    num_frames: of the clip by image key: `video`, and `target` if it has any.
    grid: (rows, columns) of patches in a frame.
    tubelet_size: frames of `video` in a token.

  Raises:
    ValueError: the mask and the clip do not go together, or a setting makes no
      sense.
  """
  if not config:
    return None
  hides = MASKS.get(config.get('name')).layout.hides
  if hides not in num_frames:
    raise ValueError(
      f'Mask {config["name"]!r} hides {hides} frames; this clip has only '
      f'{", ".join(num_frames)}. Use the clip sampler source_target, or '
      'another mask.'
    )
  if hides == 'video' and 'target' in num_frames:
    raise ValueError(
      f'Mask {config["name"]!r} hides tokens of the clip, but this clip has '
      'target frames besides, which would be rebuilt instead. Use the mask '
      'target, or the clip sampler uniform.'
    )
  if hides == 'video':
    grid = (num_frames['video'] // tubelet_size, *grid)
  return MASKS.build(config, grid=grid)


def check_mask(
  config: Mapping[str, Any] | None, need: MaskLayout | None, model: str
) -> None:
  """Checks that a model can take a mask, going by the mask's name.

  Args:
    config: `config.data.mask`; empty for no mask.
    need: what the model needs; None if it takes no mask.
    model: what to call the model in the error.

  Raises:
    ValueError: the mask is not that; names those that are.
  """
  name = config['name'] if config else None
  if need is None:
    if name:
      raise ValueError(
        f'{model} sees whole clips; data.mask.name={name!r} would hide parts '
        'of them. Set data.mask to {}.'
      )
    return
  if name and MASKS.get(name).layout.meets(need):
    return
  fitting = [n for n in MASKS.names() if MASKS.get(n).layout.meets(need)]
  given = f'data.mask.name={name!r} does not' if name else 'data.mask is empty'
  raise ValueError(
    f'{model} needs a mask that {need}; {given}. Use one of: '
    f'{", ".join(fitting)}.'
  )
