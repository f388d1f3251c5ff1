"""Arrays under other names, where most are a slice of one of ours.

A map says for each name of theirs which of our arrays it is, and at what index:
`{'their/name': ('our/path', index)}`; the index `()` means all of it.
"""

from collections.abc import Callable, Mapping

import ml_dtypes
import numpy as np

from rvmae_jax.registry import some_names

ArrayMap = Mapping[str, tuple[str, tuple]]


def fill(
  arrays: Mapping[str, np.ndarray],
  mapping: ArrayMap,
  shapes: Mapping[str, tuple[int, ...]],
  *,
  what: str,
  their_shape: Callable[[str, tuple[int, ...]], tuple[int, ...]] = (
    lambda name, shape: shape
  ),
) -> dict[str, np.ndarray]:
  """Their arrays, put where ours have them.

  Args:
    arrays: their name -> array.
    mapping: of their names.
    shapes: our path -> shape.
    what: what the arrays are of, for errors.
    their_shape: (their name, shape of our slice) -> shape of theirs.

  Returns:
    Our path -> array.

  Raises:
    ValueError: a missing or extra array, or one of another shape or without
      floats; the message names it.
  """
  _check_names(what, set(arrays), set(mapping))
  flat: dict[str, np.ndarray] = {}
  for name, (path, index) in mapping.items():
    array = np.asarray(arrays[name])
    if array.dtype.kind != 'f' and array.dtype != ml_dtypes.bfloat16:
      raise ValueError(
        f'Array {name!r} holds {array.dtype}, and weights are floats.'
      )
    ours = flat.setdefault(path, np.empty(shapes[path], array.dtype))
    expected = their_shape(name, ours[index].shape)
    if array.shape != expected:
      raise ValueError(
        f'Array {name!r} has shape {array.shape}; this model needs {expected}.'
      )
    ours[index] = array.reshape(ours[index].shape)
  return flat


def _check_names(what: str, given: set[str], expected: set[str]) -> None:
  problems = []
  for kind, names in (
    ('missing', sorted(expected - given)),
    ('not known to this model', sorted(given - expected)),
  ):
    if names:
      problems.append(f'{kind}: {some_names(names, 5)}')
  if problems:
    raise ValueError(f'{what} does not fit; {"; ".join(problems)}')
