"""Reads weights: of runs, exported and released files, and PyTorch's.

Files are told apart by what is in them:

    what `export` writes       .npz, .safetensors or .pth with the run's config
    a released RVM             .npz, or .safetensors with the same names
    a released readout head    the same; read by `load_readout`
    VideoMAE, ViTMAE, TimeSformer
      of Hugging Face          .safetensors or .bin, best with its config.json
                               and preprocessor_config.json; in several files:
                               their .index.json; or `hf://org/name`
      of the papers' code      .pth, .pt or .pyth
"""

import functools
import hashlib
import json
import pathlib
import types
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import ml_collections
import numpy as np
from absl import logging
from etils import epath

from rvmae_jax import config_utils, files
from rvmae_jax.data.writing import whole_file
from rvmae_jax.interop import (
  hub,
  hugging_face,
  hugging_face_model,
  hugging_face_settings,
  npz,
  published,
  readout_released,
  rvm_released,
  safetensors,
  sharded,
  state_dict,
  torch_files,
)
from rvmae_jax.layers.readout import READOUTS
from rvmae_jax.models import build_model
from rvmae_jax.models.classifier import Classifier
from rvmae_jax.training import checkpointing

# Formats that hold a note beside the arrays.
FORMATS = {'.npz': npz, '.safetensors': safetensors}
TORCH_SUFFIXES = ('.bin', '.pth', '.pt', '.pyth')
# Where `export` puts its note in a .pth.
NOTE = 'rvmae_jax'
# Where `save_readout` puts its note.
READOUT_NOTE = 'readout'
# What a folder of Hugging Face's holds; the first that is there is taken.
IN_FOLDERS = (
  'model.safetensors',
  'model.safetensors.index.json',
  'pytorch_model.bin',
  'pytorch_model.bin.index.json',
)


def params_digest(params: Any) -> str:
  """A hash of all parameters by name: the same weights, wherever they lie."""
  digest = hashlib.sha256()
  for path, leaf in jax.tree_util.tree_leaves_with_path(params):
    digest.update(jax.tree_util.keystr(path).encode())
    digest.update(np.ascontiguousarray(leaf).data)
  return digest.hexdigest()


def split_paths(paths: str) -> list[str]:
  """The paths of several files with commas between them, or one as it is."""
  return [paths] if pathlib.Path(paths).exists() else paths.split(',')


def content_digest(paths: str) -> str:
  """A hash of the content of files and folders, see `split_paths`.

  Raises:
    FileNotFoundError: there is nothing at a path.
  """
  digest = hashlib.sha256()
  for given in split_paths(paths):
    path = epath.Path(find_file(given) if hub.is_address(given) else given)
    inside = sorted(path.rglob('*')) if path.is_dir() else [path]
    found = [file for file in inside if file.is_file()]
    if not found:
      raise FileNotFoundError(f'There is no file at {given}.')
    for file in found:
      with file.open('rb') as opened:
        digest.update(hashlib.file_digest(opened, 'sha256').digest())
  return digest.hexdigest()


def load(
  path: str | pathlib.Path, ema: bool = False
) -> tuple[dict, ml_collections.ConfigDict]:
  """Parameters and config of a run, a checkpoint, a weights file or its folder.

  Args:
    path: a workdir, a checkpoint, a file as above, Hugging Face's folder, or
      `hf://org/name[@revision]`.
    ema: of a run, the moving average of the parameters.

  Raises:
    FileNotFoundError: there are no weights at `path`.
    ValueError: the file's names are unknown, or an array does not fit; or
      there is no moving average.
  """
  file = find_file(path)
  if file and ema:
    raise ValueError(
      f'{file} holds one set of parameters; a moving average can be chosen '
      'from runs and checkpoints alone.'
    )
  return checkpointing.load_params(file or path, ema, load_file=read_params)


def load_model(path: str | pathlib.Path) -> tuple[nn.Module, dict]:
  """The network and the parameters of what `load` takes.

  With them `model.apply({'params': params}, video, method='encode')` gives
  features; see `models.rvm.RVM` and `models.videomae.VideoMAE`.
  """
  params, config = load(path)
  with files.naming(path, 'has a config that describes no network', remedy=''):
    return build_model(config.model), params


def load_readout(
  path: str | pathlib.Path, **known: tuple[int, int, int]
) -> tuple[nn.Module, dict]:
  """A readout head of a released file or of `save_readout`, and its parameters.

  A network in the same file is ignored.

  Args:
    path: .npz or .safetensors.
    **known: `frames_shape` and `patch_shape` of a depth map, where the file
      does not tell them; see `interop.readout_released.readout_fields`.

  Raises:
    ValueError: there is no readout in the file, or an array does not fit.
  """
  with files.naming(path, 'holds no readout that loads', remedy=''):
    arrays, _ = readout_released.find_readout(read_arrays(path))
    fields = readout_fields(arrays, read_metadata(path), **known)
    params = readout_released.from_released(arrays, fields)
    return READOUTS.build(fields), params


def save_readout(
  path: str | pathlib.Path, readout: nn.Module, params: Mapping[str, Any]
) -> None:
  """Writes a readout under its released names, as .npz or .safetensors.

  Args:
    path: appears whole or not at all; replaced if it exists.
    readout: a module of `READOUTS`.
    params: its parameters.
  """
  # The only sizes that no array tells.
  note = {
    name: getattr(readout, name)
    for name in ('frames_shape', 'patch_shape')
    if hasattr(readout, name)
  }
  arrays = readout_released.to_released(params)
  with whole_file(pathlib.Path(path)) as partial:
    file_format(path).write(partial, arrays, {READOUT_NOTE: json.dumps(note)})


def readout_fields(
  arrays: Mapping[str, Any],
  metadata: Mapping[str, str],
  **known: tuple[int, int, int],
) -> dict[str, Any]:
  """As `readout_released.readout_fields`, with what the file's note says."""
  noted = json.loads(metadata.get(READOUT_NOTE, '{}'))
  return readout_released.readout_fields(arrays, **{**noted, **known})


def require_network(
  path: str | pathlib.Path, arrays: Mapping[str, Any]
) -> None:
  """Raises ValueError if a file of these arrays is a readout's."""
  if readout_released.is_readout(arrays):
    raise ValueError(
      f'{path} holds a readout head and no network that features could come '
      'from; rvmae_jax.weights.load_readout reads the head.'
    )


def find_file(path: str | pathlib.Path) -> pathlib.Path | None:
  """The file that a path means: itself, or that in a Hugging Face folder.

  A run stays a run, whatever files lie in its workdir. A repository of the hub
  is fetched; see `interop.hub`.

  Raises:
    FileNotFoundError: a repository that cannot be fetched, or in which no file
      can be meant.
  """
  if hub.is_address(path):
    return _file_of(path, hub.fetch(path))
  path = pathlib.Path(path)
  if path.is_file():
    return path
  if checkpointing.is_run(path):
    return None
  found = [path / name for name in IN_FOLDERS if (path / name).is_file()]
  return found[0] if found else None


def _file_of(address: str, folder: pathlib.Path) -> pathlib.Path:
  """The file of weights in a repository: of the usual name, or the only one."""
  if file := find_file(folder):
    return file
  suffixes = (*FORMATS, *TORCH_SUFFIXES)
  found = sorted(p for p in folder.iterdir() if p.suffix in suffixes)
  if len(found) != 1:
    names = ', '.join(path.name for path in found)
    raise FileNotFoundError(
      f'{address} holds {names}. Fetch one file with `hf download` and name it.'
    )
  return found[0]


def read_params(
  path: str | pathlib.Path,
) -> tuple[dict, ml_collections.ConfigDict]:
  """Parameters and config of a weights file of any origin.

  Returns:
    Nested dict of arrays, without the decoder where the file has none, and the
    config of the run that it was exported from. Without such a note, the model
    is read off the arrays and all else is the paper's, see `interop.published`;
    it has no `data.sources`.

  Raises:
    ValueError: the file's names are unknown, or an array does not fit.
  """
  with files.naming(path, 'holds no network that loads', remedy=''):
    metadata = read_metadata(path)
    arrays = read_arrays(path)
    require_network(path, arrays)
    config = config_of(path, metadata, arrays)
    if 'scan_layers' in config.model:
      config.model.scan_layers = False  # The file has an array for each block.
    model = build_model(config.model)
    if config.model.name == 'rvm':
      shapes = released_shapes(model)
      return rvm_released.from_released(arrays, shapes), config
    params, report = match_state_dict(arrays, model)
    report.require_complete()
    return params, config


def read_metadata(path: str | pathlib.Path) -> dict[str, str]:
  """The note that `export` left in a file; empty for files of others."""
  suffix = pathlib.Path(path).suffix
  if suffix in FORMATS:
    return FORMATS[suffix].read_metadata(path)
  content = torch_files.read(path) if suffix == '.pth' else {}
  note = content.get(NOTE) if isinstance(content, Mapping) else None
  return dict(note) if isinstance(note, Mapping) else {}


def read_arrays(path: str | pathlib.Path) -> dict[str, np.ndarray]:
  """All arrays of a file; names of RVM are split by '/', others by '.'.

  Raises:
    FileNotFoundError: one of several files is not there.
    ValueError: an unknown suffix, or a file that is damaged.
  """
  if sharded.is_index(path):
    return sharded.read(path)
  suffix = pathlib.Path(path).suffix
  if suffix in TORCH_SUFFIXES:
    return state_dict.read(path)
  arrays = file_format(path).read(path)
  if (
    suffix == '.npz'
    or is_released_rvm(arrays)
    or readout_released.is_readout(arrays)
  ):
    return arrays
  return {name.replace('/', '.'): array for name, array in arrays.items()}


def is_released_rvm(arrays: Mapping[str, Any]) -> bool:
  """Whether arrays have the names of an RVM's released files."""
  return any(name.startswith('tokenizer/') for name in arrays)


def config_of(
  path: str | pathlib.Path,
  metadata: Mapping[str, str],
  arrays: Mapping[str, np.ndarray],
) -> ml_collections.ConfigDict:
  """The config that a file names, or the paper's for what is in it.

  Args:
    path: where config.json and preprocessor_config.json may lie beside.
    metadata: what `read_metadata` gives.
    arrays: what `read_arrays` gives.

  Raises:
    ValueError: nobody knows the arrays' names, or the settings beside do not
      fit; see `interop.hugging_face_model`.
  """
  if 'config' in metadata:
    return config_utils.from_json(metadata['config'])
  settings = {}
  if is_released_rvm(arrays) or pathlib.Path(path).suffix == '.npz':
    model = {'name': 'rvm', **rvm_released.model_fields(arrays)}
  else:
    origin, arrays = hugging_face.find_origin(arrays)
    settings = hugging_face_settings.read_config(path, origin.model_types)
    model = hugging_face_model.model_config(arrays, origin, settings)
    pixels = hugging_face_settings.read_pixel_fields(path)
    if not pixels and settings.get('model_type') == 'vit':
      logging.warning(
        'No preprocessor_config.json beside %s: its pixels are assumed to have '
        "ImageNet's mean and deviation, as with MAE; many ViTs were trained "
        'with 0.5 and 0.5.',
        path,
      )
    model |= pixels
  config = published.run_config(model, settings)
  return ml_collections.ConfigDict(config).lock()


def match_state_dict(
  arrays: Mapping[str, np.ndarray], model: nn.Module
) -> tuple[dict, state_dict.Report]:
  """A model's parameters from the arrays of a state dict, and the report."""
  origin, arrays = hugging_face.find_origin(arrays)
  has_decoder = origin.arrays.get('decoder/mask_token') in arrays
  # Parameters do not depend on the clip's size: two tubelets in a slot will do.
  network = getattr(model, 'backbone', model)
  z, p = network.tubelet_size, network.patch_size
  ids = jax.ShapeDtypeStruct((1, 1), np.int32)
  video = jax.ShapeDtypeStruct((1, z, p, 2 * p, 3), np.uint8)
  init, inputs = functools.partial(model.init, method='encode'), video
  if has_decoder or isinstance(model, Classifier):
    init = model.init
    inputs = {'video': video, 'ids_keep': ids, 'ids_mask': ids}
  shapes = jax.eval_shape(init, jax.random.key(0), inputs)
  return state_dict.from_state_dict(arrays, shapes['params'], origin)


def released_shapes(model: nn.Module) -> dict:
  """Shapes of an RVM's parameters."""
  # They do not depend on the size of a clip: one frame of one patch.
  frame = jax.ShapeDtypeStruct((1, 1, *(model.patch_size,) * 2, 3), np.uint8)
  spec = {
    'video': frame,
    'target': frame,
    'target_delta': jax.ShapeDtypeStruct((1, 1), np.int32),
    'ids_keep': jax.ShapeDtypeStruct((1, 1, 1), np.int32),
  }
  return jax.eval_shape(model.init, jax.random.key(0), spec)['params']


def file_format(path: str | pathlib.Path) -> types.ModuleType:
  """How to read and write a file that is no PyTorch file.

  Raises:
    ValueError: an unknown suffix.
  """
  suffix = pathlib.Path(path).suffix
  if suffix not in FORMATS:
    known = (*FORMATS, *TORCH_SUFFIXES, sharded.SUFFIX)
    raise ValueError(
      f'{path} ends in {suffix!r}; use one of {", ".join(known)}.'
    )
  return FORMATS[suffix]
