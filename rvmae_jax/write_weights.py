"""Writes weights for other programs, under the names that those know.

See `rvmae_jax.export`, the command; `rvmae_jax.weights` reads them again.
"""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np
from absl import logging

import rvmae_jax
from rvmae_jax import artifacts, config_utils, weights
from rvmae_jax.data import clips
from rvmae_jax.data.writing import whole_file, write_whole
from rvmae_jax.interop import (
  hugging_face,
  hugging_face_config,
  hugging_face_settings,
  rvm_released,
  state_dict,
  torch_files,
)
from rvmae_jax.models import build_model
from rvmae_jax.training import checkpointing

RVM_SUFFIXES = ('.npz', '.safetensors')
FAMILY_SUFFIXES = ('.safetensors', '.bin', '.pth')


def write_params(
  params: Mapping[str, Any],
  config: ml_collections.ConfigDict,
  out: str | pathlib.Path,
  *,
  part: str = 'all',
  parameters: str = 'last',
) -> None:
  """Writes parameters; the file appears whole or not at all.

  Args:
    params: of the network of `config.model`.
    config: of the run.
    out, part: see `export`.
    parameters: what they are called in the file's note.

  Raises:
    ValueError: an unknown suffix, or a model that nobody else has (such as an
      RVM without gates).
    FileExistsError: what lies beside `out` would get another meaning.
    OSError: what was written does not read back equal.
  """
  out = pathlib.Path(out)
  arrays, beside = _named_arrays(params, config, part, out)
  _check_neighbours(out, beside)
  metadata = {
    'config': config_utils.to_json(config),
    'part': part,
    'parameters': parameters,
    'rvmae_jax': rvmae_jax.__version__,
  }
  out.parent.mkdir(parents=True, exist_ok=True)
  with whole_file(out) as partial:
    _write(partial, arrays, metadata)
    _check_equal(weights.read_arrays(partial), arrays)
    # Settings without weights are harmless; weights without settings are not.
    for name, settings in beside.items():
      write_whole(out.with_name(name), json.dumps(settings, indent=2))


def _check_neighbours(
  out: pathlib.Path, beside: Mapping[str, Mapping[str, Any]]
) -> None:
  """Raises FileExistsError if `out` would change what files beside it mean.

  Args:
    out: the file to write.
    beside: name of a file -> the settings that `out` needs there.
  """
  remedy = 'Export to a folder of its own.'
  # Whether programs load this file when they are given its folder.
  is_main = out.name in weights.IN_FOLDERS
  others = [
    name
    for name in weights.IN_FOLDERS
    if is_main and name != out.name and out.with_name(name).exists()
  ]
  if others:
    raise FileExistsError(
      f'{out.parent} holds {others[0]}, and a program that loads the folder '
      f'would take only one of the two. {remedy}'
    )
  if beside and checkpointing.is_run(out.parent):
    raise FileExistsError(
      f'{out.parent} is the folder of a run, which has a config.json of its '
      f'own. {remedy}'
    )
  for name in hugging_face_settings.FILES if is_main or beside else ():
    path = out.with_name(name)
    if not path.exists():
      continue
    try:
      wanted = json.loads(json.dumps(beside.get(name)))
      is_same = json.loads(path.read_text()) == wanted
    except ValueError:
      is_same = False
    if not is_same:
      raise FileExistsError(
        f'{path} describes another network than {out}, and may belong to other '
        f'weights. {remedy} Or remove what is there.'
      )


def _named_arrays(
  params: dict, config: ml_collections.ConfigDict, part: str, out: pathlib.Path
) -> tuple[dict[str, np.ndarray], dict[str, dict]]:
  """Parameters under the names of their origin, and settings by file name."""
  is_rvm = config.model.name == 'rvm'
  is_original = out.suffix == '.pth'
  if not is_rvm:  # First, since for some models no suffix will do.
    origin = hugging_face.origin_of(config.model, is_original)
  suffixes = RVM_SUFFIXES if is_rvm else FAMILY_SUFFIXES
  if out.suffix not in suffixes or (part != 'all' and not is_rvm):
    raise ValueError(
      f'{out} with part {part!r}: {config.model.name} is exported '
      f'{"" if is_rvm else "as a whole "}to {", ".join(suffixes)}; artifacts '
      f'are {", ".join(artifacts.WRITERS.names())}.'
    )
  beside = {}
  if is_rvm:
    arrays = rvm_released.to_released(params, part)
    unseen = rvm_released.unseen_differences(config.model, part)
    if unseen:
      logging.warning(
        '%s looks like a released RVM but has %s, which no array shows. '
        'rvmae_jax reads that from the note in the file; other programs will '
        'silently compute something else.',
        out,
        ', '.join(f'{field}={value!r}' for field, value in unseen.items()),
      )
  else:
    height, width = config.data.crop.size
    p = config.model.patch_size
    arrays = state_dict.to_state_dict(params, origin, (height // p, width // p))
    if not is_original:
      model = build_model(config.model)
      beside = {
        hugging_face_settings.CONFIG: hugging_face_config.config_json(
          model,
          clips.unwrapped(config.data.clip).get('num_frames', 1),
          (height, width),
          config.get('objective', {}).get('normalize', 'none'),
          (config.data.get('mask') or {}).get('ratio'),
        ),
        hugging_face_settings.PREPROCESSORS[0][0]: (
          hugging_face_config.preprocessor_json(model, (height, width))
        ),
      }
  arrays = {
    name: np.asarray(array, np.float32, order='C')
    for name, array in arrays.items()
  }
  return arrays, beside


def _write(
  path: pathlib.Path,
  arrays: Mapping[str, np.ndarray],
  metadata: Mapping[str, str],
) -> None:
  if path.suffix in weights.FORMATS:
    weights.FORMATS[path.suffix].write(path, arrays, metadata)
  elif path.suffix == '.bin':
    torch_files.write(path, arrays)
  else:
    torch_files.write(path, {'model': arrays, weights.NOTE: metadata})


def _check_equal(
  read: dict[str, np.ndarray], written: dict[str, np.ndarray]
) -> None:
  unequal = [
    name
    for name, array in written.items()
    if name not in read or not np.array_equal(read[name], array, equal_nan=True)
  ]
  if unequal:
    raise OSError(f'Arrays do not read back as written: {unequal[:5]}.')
