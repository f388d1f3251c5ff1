"""PyTorch state dicts: whose names, in which layout, and what did not match."""

import dataclasses
import functools
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import flax.traverse_util
import numpy as np

from rvmae_jax import files
from rvmae_jax.interop import safetensors, torch_files
from rvmae_jax.layers.positions import sincos_2d_xy
from rvmae_jax.layers.transformer import unstack_blocks
from rvmae_jax.registry import some_names

# Where training scripts keep the network inside of their checkpoints.
_WRAPPERS = ('model', 'module', 'state_dict', 'model_state')
_MOST_WRAPPERS = 8  # One in the other.
_ALL = slice(None)
# Position tables, each with a token of the same width: ours may be constants.
_TABLES = {
  'positions/places': 'cls_token',
  'decoder/positions/places': 'decoder/mask_token',
}


@dataclasses.dataclass(frozen=True)
class Origin:
  """How one family of files names the arrays of `models.videomae.VideoMAE`.

  Attributes:
    name: for messages.
    modules: our module -> theirs; a kernel or scale is `.weight` there.
    arrays: our array -> theirs, with a leading 1 there.
    stacks: our stack of blocks -> theirs, with {} for the number of the block.
    block: our module in a block -> theirs; for `attention/qkv` three names
      where query, key and value lie apart.
    qv_bias: two names, of the biases of queries and values, where keys have
      none.
    tubelet_size: frames in the patch kernel; 0 if it has no such axis.
    fields: of the model, where all files of the family have them.
    model_types: of the `config.json` that may lie beside, see
      `hugging_face_settings`.
    left_out: names of arrays that come after the features: we have no use for
      them.
  """

  name: str
  modules: Mapping[str, str]
  arrays: Mapping[str, str]
  stacks: Mapping[str, str]
  block: Mapping[str, str | tuple[str, str, str]]
  qv_bias: tuple[str, ...] = ()
  tubelet_size: int = 0
  fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  model_types: tuple[str, ...] = ()
  left_out: tuple[str, ...] = ()

  def theirs(self, path: str) -> str:
    """Their name of one of our arrays that is whole in their file."""
    return next(self.places(path))[0]

  def places(self, path: str) -> Iterator[tuple[str, tuple]]:
    """Their names of our array, each with the index of its part of ours."""
    path = path.removeprefix('backbone/')  # Of a classifier.
    module, _, leaf = path.rpartition('/')
    suffix = 'bias' if leaf == 'bias' else 'weight'
    in_block = re.fullmatch(r'(.+)/block_(\d+)/(.+)', path)
    if path in self.arrays:
      yield self.arrays[path], ()
    elif module in self.modules:
      yield f'{self.modules[module]}.{suffix}', ()
    elif in_block and in_block[1] in self.stacks:
      prefix = self.stacks[in_block[1]].format(int(in_block[2]))
      for name, index in self._places_in_block(in_block[3], suffix):
        yield f'{prefix}.{name}', index

  def knows(self, name: str) -> bool:
    """Whether a name of a file is one of this origin's."""
    if name in self.arrays.values():
      return True
    module = name.rpartition('.')[0]
    if module in self.modules.values():
      return True
    for prefix in self.stacks.values():
      match = re.match(re.escape(prefix).replace(r'\{\}', r'\d+') + r'\.', name)
      if match:
        rest = name[match.end() :]
        return rest in self.qv_bias or rest in self._in_block
    return False

  @functools.cached_property
  def _in_block(self) -> set[str]:
    """Names of arrays in a block, but for those in `qv_bias`."""
    names = set()
    for module, theirs in self.block.items():
      leaves = ['weight', 'bias']
      if self.qv_bias and module == 'attention/qkv':
        leaves = ['weight']
      for name in (theirs,) if isinstance(theirs, str) else theirs:
        names |= {f'{name}.{leaf}' for leaf in leaves}
    return names

  def _places_in_block(
    self, path: str, suffix: str
  ) -> Iterator[tuple[str, tuple]]:
    module, _, leaf = path.rpartition('/')
    if leaf == 'qv_bias':
      yield from ((name, (i,)) for i, name in enumerate(self.qv_bias))
      return
    names = self.block.get(module, ())
    if isinstance(names, str):
      yield f'{names}.{suffix}', ()
    for i, name in enumerate(names if isinstance(names, tuple) else ()):
      # kernel [D, 3, heads, d], bias [3, heads, d]
      yield f'{name}.{suffix}', (_ALL, i) if suffix == 'weight' else (i,)


@dataclasses.dataclass
class Report:
  """What became of the arrays of a file.

  Attributes:
    origin: whose names they are.
    loaded: names of the file that found their place.
    missing: our arrays that the file does not have.
    unused: names of the file that the network does not have.
    misshapen: a sentence for each array whose shape does not fit.
  """

  origin: str
  loaded: list[str] = dataclasses.field(default_factory=list)
  missing: list[str] = dataclasses.field(default_factory=list)
  unused: list[str] = dataclasses.field(default_factory=list)
  misshapen: list[str] = dataclasses.field(default_factory=list)

  def __str__(self) -> str:
    lines = [f'{self.origin}: {len(self.loaded)} arrays loaded.']
    for kind in ('missing', 'unused', 'misshapen'):
      names = getattr(self, kind)
      if names:
        lines.append(f'{kind}: {some_names(names, 5, "; ")}.')
    return '\n'.join(lines)

  def require_complete(self) -> None:
    """ValueError with the whole report, unless everything matched."""
    if self.missing or self.unused or self.misshapen:
      raise ValueError(f'Weights do not fit. {self}')


def read(path: str | pathlib.Path) -> dict[str, np.ndarray]:
  """All arrays of a `.safetensors`, `.bin`, `.pth`, `.pt` or `.pyth` file.

  Raises:
    ImportError: the package for .safetensors is not installed.
    ValueError: the file is damaged or holds no state dict.
  """
  path = pathlib.Path(path)
  if path.suffix == '.safetensors':
    return {
      name.replace('/', '.'): array
      for name, array in safetensors.read(path).items()
    }
  content = torch_files.read(path)
  tensors = {
    name: value
    for name, value in unwrap(content).items()
    if isinstance(value, torch_files.Tensor)
  }
  if not tensors:
    raise ValueError(
      f'{path} holds no state dict: at its top is a {type(content).__name__}, '
      f'with {list(unwrap(content))[:10]}. Save model.state_dict() instead.'
    )
  with files.naming(path, 'is damaged'):
    return {name: tensor.read() for name, tensor in tensors.items()}


def unwrap(content: Any) -> Mapping[str, Any]:
  """The state dict inside of a training script's checkpoint; {} without one."""
  for _ in range(_MOST_WRAPPERS):
    if not isinstance(content, Mapping):
      return {}
    inner = [k for k in _WRAPPERS if isinstance(content.get(k), Mapping)]
    if not inner:
      break
    content = content[inner[0]]
  # Of DataParallel, of TimeSformer's wrapper, and of torch.compile.
  prefixes = re.compile(r'^((module|model|_orig_mod)\.)+')
  return {
    prefixes.sub('', name): value
    for name, value in content.items()
    if isinstance(name, str)
  }


def from_state_dict(
  arrays: Mapping[str, np.ndarray],
  template: Mapping[str, Any],
  origin: Origin,
) -> tuple[dict[str, Any], Report]:
  """Parameters of ours from arrays of theirs, as far as they match.

  Args:
    arrays: their name -> array.
    template: our parameters' shapes (from `jax.eval_shape`), unrolled layers.
    origin: whose names they are.

  Returns:
    Nested parameters like `template` without what is missing, float32, and the
    report.

  Raises:
    ValueError: an array of integers.
  """
  report, flat, known = Report(origin.name), {}, set()
  for path, leaf in _flatten(template).items():
    parts = list(origin.places(path))
    known |= {name for name, _ in parts}
    if not parts or any(name not in arrays for name, _ in parts):
      report.missing.append(path)
      continue
    ours = np.empty(leaf.shape, np.float32)
    for name, index in parts:
      if arrays[name].dtype.kind in 'biu':
        raise ValueError(
          f'{name} is {arrays[name].dtype}: the file holds whole numbers where '
          'weights should be, as quantised ones do. Take the file before '
          'quantisation.'
        )
      try:
        ours[index] = _to_ours(path, arrays[name], ours[index].shape)
      except ValueError:
        report.misshapen.append(
          f'{name} {arrays[name].shape} for {path} {leaf.shape}'
        )
        break
    else:
      flat[path] = ours
      report.loaded += [name for name, _ in parts]
  report.unused = sorted(
    name
    for name in set(arrays) - known - set(origin.left_out)
    if not _is_fixed_table(name, arrays[name], origin)
  )
  return flax.traverse_util.unflatten_dict(flat, sep='/'), report


def to_state_dict(
  params: Mapping[str, Any],
  origin: Origin,
  grid: tuple[int, int] = (14, 14),
) -> dict[str, np.ndarray]:
  """Our parameters under their names, in their layout.

  Args:
    params: nested parameters, scanned or unrolled layers.
    origin: whose names to take.
    grid: (h, w) of the fixed position tables that some origins keep.

  Raises:
    ValueError: an array that they have no name for.
  """
  flat, arrays = _flatten(params), {}
  for path, ours in flat.items():
    parts = list(origin.places(path))
    if not parts:
      raise ValueError(f'{origin.name} has no place for the array {path!r}.')
    for name, index in parts:
      arrays[name] = _to_theirs(path, np.asarray(ours)[index], origin)
  for table, token in _TABLES.items():
    name = origin.arrays.get(table)
    for path in (token, f'backbone/{token}'):
      if name and name not in arrays and path in flat:
        arrays[name] = _fixed_table(grid, np.shape(flat[path])[-1])
  return arrays


def _fixed_table(grid: tuple[int, int], width: int) -> np.ndarray:
  """Positions of the CLS token and of a grid, [1, 1 + h*w, D]."""
  table = sincos_2d_xy(grid, width)
  return np.concatenate([np.zeros((1, width), np.float32), table])[None]


def _is_fixed_table(name: str, array: np.ndarray, origin: Origin) -> bool:
  """Whether an array is but the table that our network has as a constant."""
  if name not in origin.arrays.values() or array.ndim != 3:
    return False
  num_places, width = array.shape[1] - 1, array.shape[2]
  heights = [h for h in range(1, num_places + 1) if num_places % h == 0]
  return width % 4 == 0 and any(
    np.allclose(array, _fixed_table((h, num_places // h), width), atol=1e-5)
    for h in heights
  )


def _is_patch_kernel(path: str) -> bool:
  return path.endswith('patch_embedding/projection/kernel')


def _to_ours(
  path: str, array: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
  """[D, 3, (z,) p, p] -> [z*p*p*3, D]; [out, in] -> [in, out]; else as it is.

  Raises:
    ValueError: the shape does not fit.
  """
  if _is_patch_kernel(path):
    array = np.moveaxis(array, (0, 1), (-1, -2))  # [(z,) p, p, 3, D]
    if array.size // array.shape[-1] != shape[0] or array.shape[-1] != shape[1]:
      raise ValueError(path)
  elif path.endswith('/kernel'):
    array = array.T
    if array.shape[0] not in (shape[0], int(np.prod(shape[:-1]))):
      raise ValueError(path)
  elif array.shape[-1:] != shape[-1:] and array.ndim != 1:
    raise ValueError(path)
  return array.reshape(shape)


def _to_theirs(path: str, array: np.ndarray, origin: Origin) -> np.ndarray:
  """The inverse of `_to_ours`."""
  if _is_patch_kernel(path):
    z = origin.tubelet_size
    p = round((len(array) / 3 / max(z, 1)) ** 0.5)
    # [z*p*p*3, D] -> [(z,) p, p, 3, D]
    array = array.reshape(*([z] if z else []), p, p, 3, -1)
    return np.moveaxis(array, (-1, -2), (0, 1))
  if path.endswith('attention/out/kernel'):
    return array.reshape(-1, array.shape[-1]).T  # [heads, d, D] -> [D, D]
  if path.endswith('/kernel'):
    return array.reshape(len(array), -1).T  # [in, ...] -> [out, in]
  is_token = any(path.endswith(ours) for ours in origin.arrays)
  return array[None] if is_token else array.reshape(-1)


def _flatten(params: Mapping[str, Any]) -> dict[str, Any]:
  return flax.traverse_util.flatten_dict(unstack_blocks(params), sep='/')
