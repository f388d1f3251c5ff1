"""Masks, drawn on the host: which tokens a model sees, which it rebuilds.

A mask is built once with its settings and the grid of tokens, and called for
every clip:

  mask = MASKS.build({'name': 'tube', 'ratio': 0.9}, grid=(8, 14, 14))
  clip = mask(clip, rng)  # adds `ids_keep` and `ids_mask`

It may look at all of the clip (frames, motion) and must draw only from `rng`.
How many tokens it keeps is fixed by its settings, so that shapes are static;
settings that make no sense fail when the mask is built, before any video is
read. A class says by its attributes what its masks are:

  hides: 'target', and its grid is (rows, columns) of a target frame, whose ids
    are [S, ...]; or 'video', and its grid is (slots, rows, columns) of the
    clip, whose ids count through all slots. A slot is a frame or a tubelet.
  is_even: every slot shows the same number of tokens, and hides the same.
  is_even_where_shown: the same of slots that are not hidden whole, and of
    shown tokens only; left out where `is_even` says it.
  is_tube: every slot shows the same places, and hides the same.

One that has a `flow`, the name of an estimator in `data/flow.py`, finds that
flow in the clip and takes it out.

To add one: a file beside this one, built on `masking/tokens.py`, and a line in
the table.
"""

from collections.abc import Mapping
from typing import Any

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

# What a model may need of a mask, in words for error messages.
_NEEDS = {
  'is_even': 'shows and rebuilds the same number of tokens in every time slot',
  'is_even_where_shown': (
    'shows the same number of tokens, or none, in every time slot'
  ),
  'is_tube': 'shows and rebuilds the same places in every time slot',
}


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
  hides = MASKS.get(config.get('name')).hides
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


def check_mask(config: Mapping[str, Any], need: str, model: str) -> None:
  """Checks by its name that a mask is one that a model can take.

  Args:
    config: `config.data.mask`.
    need: what the model needs, a key of `_NEEDS`; '' for nothing.
    model: what to call the model in the error.

  Raises:
    ValueError: the mask is not that; names those that are.
  """

  def fits(name):
    mask = MASKS.get(name)
    return mask.hides == 'video' and getattr(mask, need, mask.is_even)

  if not need or not config or fits(config['name']):
    return
  fitting = [name for name in MASKS.names() if fits(name)]
  raise ValueError(
    f'{model} needs a mask that {_NEEDS[need]}; data.mask.name='
    f'{config["name"]!r} does not. Use one of: {", ".join(fitting)}.'
  )
