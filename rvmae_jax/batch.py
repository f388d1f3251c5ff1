"""The contract between data, models and objectives: the keys of a batch.

Letters: B batch, T frames, H W pixels, N tokens of a frame, K visible tokens,
M hidden tokens, S target frames, F time slots that show tokens. In masks True
or 1 means hidden.
"""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

# Keys with this prefix stay on the host: counters and paths, never seen by jit.
HOST_PREFIX = 'host/'
# Exclusive upper bound of `target_delta`.
MAX_DELTA = 64


@dataclasses.dataclass(frozen=True)
class Field:
  """One key of a batch: its shape in letters, its dtype and its meaning."""

  shape: str
  dtype: str
  meaning: str


FIELDS = {
  'video': Field('B T H W 3', 'uint8', 'what the encoder sees'),
  'target': Field('B S H W 3', 'uint8', 'frames to rebuild'),
  'target_delta': Field(
    'B S', 'int32', 'steps from the first source frame to each target frame'
  ),
  'ids_keep': Field('B ... K', 'int32', 'visible tokens, sorted'),
  'ids_mask': Field('B ... M', 'int32', 'hidden tokens to rebuild, sorted'),
  'slots_keep': Field(
    'B F',
    'int32',
    'time slots that show tokens, equally many each, sorted; absent = all',
  ),
  'label': Field('B', 'int32', 'class, -1 where there is none'),
  'view2': Field('B T H W 3', 'uint8', 'a second clip of the same video'),
  'valid': Field('B', 'bool', 'False for padding of a last evaluation batch'),
}


class Slots(enum.IntEnum):
  """How alike a mask treats time slots; a level includes all lower ones.

  A slot is a frame or a tubelet.
  """

  ANY = 0
  # Slots that are not hidden whole show the same number of tokens.
  EVEN_WHERE_SHOWN = 1
  # Every slot shows the same number of tokens, and hides the same.
  EVEN = 2
  # Every slot shows the same places, and hides the same.
  TUBE = 3


@dataclasses.dataclass(frozen=True)
class MaskLayout:
  """Properties of a kind of mask, or those that a model needs of its masks.

  Attributes:
    hides: 'target' if patches of target frames are hidden, with ids [S, ...];
      'video' if tokens of the clip are, with ids that count through all slots.
    slots: the least that holds of the mask's time slots.
    in_steps: whether the clip is rebuilt step by step, each step from what was
      shown up to then, with ids [C, ...]; if not, all is rebuilt at once.
  """

  hides: Literal['target', 'video'] = 'video'
  slots: Slots = Slots.ANY
  in_steps: bool = False

  def meets(self, need: 'MaskLayout') -> bool:
    """Whether such masks are as `need` says."""
    is_same_task = (self.hides, self.in_steps) == (need.hides, need.in_steps)
    return is_same_task and self.slots >= need.slots

  def __str__(self) -> str:
    """What such a mask does: words that complete 'a mask that ...'."""
    if self.hides == 'target':
      return 'hides tokens of target frames'
    if self.in_steps:
      return 'cuts the clip into steps'
    return {
      Slots.ANY: 'hides tokens of the clip, all rebuilt at once',
      Slots.EVEN_WHERE_SHOWN: (
        'shows the same number of tokens, or none, in every time slot'
      ),
      Slots.EVEN: (
        'shows and rebuilds the same number of tokens in every time slot'
      ),
      Slots.TUBE: 'shows and rebuilds the same places in every time slot',
    }[self.slots]


def split_host(
  batch: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, Any]]:
  """Splits a batch into what goes to the device and what stays here."""
  device = {k: v for k, v in batch.items() if not k.startswith(HOST_PREFIX)}
  host = {k: v for k, v in batch.items() if k.startswith(HOST_PREFIX)}
  return device, host


def check_batch(batch: Mapping[str, Any]) -> None:
  """Checks keys, dtypes and that equal letters stand for equal sizes.

  Args:
    batch: arrays or `jax.ShapeDtypeStruct`s by key; `host/...` is ignored.

  Raises:
    ValueError: names the key, what it is and what it should be.
  """
  sizes: dict[str, tuple[int, str]] = {}
  for key, value in split_host(batch)[0].items():
    if key not in FIELDS:
      raise ValueError(
        f'Batch key {key!r} is not in the contract. Known: '
        f'{", ".join(FIELDS)}; host-only keys start with {HOST_PREFIX!r}.'
      )
    field = FIELDS[key]
    if np.dtype(value.dtype) != np.dtype(field.dtype):
      raise ValueError(
        f'Batch key {key!r} is {value.dtype}; it must be {field.dtype}.'
      )
    for letter, size in zip(_align(key, field, value.shape), value.shape):
      if letter == '...':
        continue
      known, source = sizes.setdefault(letter, (size, key))
      if known != size:
        raise ValueError(
          f'Batch key {key!r} has {letter}={size} (shape {value.shape}), but '
          f'{source!r} has {letter}={known}.'
        )


def _align(key: str, field: Field, shape: tuple[int, ...]) -> list[str]:
  """One letter for each dimension of `shape`; '...' takes up the slack."""
  letters = field.shape.split()
  if '...' in letters:
    at = letters.index('...')
    slack = len(shape) - (len(letters) - 1)
    letters = letters[:at] + ['...'] * slack + letters[at + 1 :]
  fits = len(letters) == len(shape) and all(
    size == int(letter)
    for letter, size in zip(letters, shape)
    if letter.isdigit()
  )
  if not fits:
    raise ValueError(
      f'Batch key {key!r} has shape {tuple(shape)}; it must be '
      f'[{field.shape}]: {field.meaning}.'
    )
  return letters


def fake_batch(spec: Mapping[str, Any], seed: int = 0) -> dict[str, np.ndarray]:
  """A random batch of the given shapes, lawful enough to train on.

  Args:
    spec: key -> anything with `shape` and `dtype`, as `data.batch_spec` gives.
    seed: of the random numbers.

  Returns:
    Arrays by key. `ids_keep` and `ids_mask` are disjoint and sorted, labels are
    all 0, every row is valid.
  """
  rng = np.random.default_rng(seed)
  batch = {}
  for key, leaf in spec.items():
    if key in ('ids_keep', 'ids_mask'):
      continue
    if key in ('video', 'target', 'view2'):
      value = rng.integers(0, 256, leaf.shape)
    elif key == 'target_delta':
      value = rng.integers(1, 64, leaf.shape)
    elif key == 'slots_keep':
      order = np.argsort(rng.random(spec['video'].shape[:2]), axis=-1)
      value = np.sort(order[:, : leaf.shape[1]], axis=-1)
    else:
      value = np.full(leaf.shape, key == 'valid')
    batch[key] = value.astype(leaf.dtype)
  ids_keys = [key for key in ('ids_keep', 'ids_mask') if key in spec]
  if ids_keys:
    counts = [spec[key].shape[-1] for key in ids_keys]
    leading = spec[ids_keys[0]].shape[:-1]
    order = np.argsort(rng.random((*leading, sum(counts))), axis=-1)
    parts = np.split(order, np.cumsum(counts)[:-1], axis=-1)
    for key, ids in zip(ids_keys, parts):
      batch[key] = np.sort(ids, axis=-1).astype(spec[key].dtype)
  return batch
