"""Takes the weights of a run away, under the names that others know.

  python -m rvmae_jax.export --checkpoint runs/rvm --out rvm.npz
  python -m rvmae_jax.export --checkpoint runs/rvm --out rvm.safetensors --ema

The suffix of --out chooses the format. Both hold float32 arrays, and the config
of the run, which `read_config` gives back. RVM has the names and the layout of
its released files (`encoder/layers_0/attention/query/kernel`; split by '.' in
.safetensors), the VideoMAE family those of Hugging Face, in .safetensors only.
"""

import argparse
import functools
import json
import os
import pathlib
import types
from collections.abc import Sequence

import flax.linen as nn
import jax
import ml_collections
import numpy as np

import rvmae_jax
from rvmae_jax import config_utils
from rvmae_jax.interop import (
  hugging_face,
  npz,
  rvm_released,
  safetensors,
  state_dict,
)
from rvmae_jax.models import build_model
from rvmae_jax.models.classifier import Classifier
from rvmae_jax.models.rvm import RVM
from rvmae_jax.training import checkpointing

FORMATS = {'.npz': npz, '.safetensors': safetensors}
PARTS = ('all', 'encoder')


def export(
  checkpoint: str | pathlib.Path,
  out: str | pathlib.Path,
  *,
  part: str = 'all',
  ema: bool = False,
) -> None:
  """Writes a checkpoint's parameters; the file appears whole or not at all.

  Args:
    checkpoint: what `training.checkpointing.load_params` takes.
    out: ends in .npz or .safetensors; replaced if it exists.
    part: 'all', or 'encoder' for what features need (encoder and core).
    ema: take the moving average (EMA) of the parameters.

  Raises:
    ValueError: an unknown suffix, a model that nobody else has, or a run
      that kept no EMA when `ema` asks for it.
    OSError: what was written does not read back equal.
  """
  out = pathlib.Path(out)
  file_format = _format(out)
  params, config = checkpointing.load_params(checkpoint, ema=ema)
  arrays = {
    name: np.asarray(array, np.float32, order='C')
    for name, array in _named_arrays(params, config, part, out).items()
  }
  metadata = {
    'config': config_utils.to_json(config),
    'part': part,
    'parameters': 'ema' if ema else 'last',
    'rvmae_jax': rvmae_jax.__version__,
  }
  out.parent.mkdir(parents=True, exist_ok=True)
  partial = out.with_name(f'.{out.name}.partial')
  try:
    file_format.write(partial, arrays, metadata)
    _check_equal(file_format.read(partial), arrays)
    os.replace(partial, out)
  finally:
    partial.unlink(missing_ok=True)


def _named_arrays(
  params: dict, config: ml_collections.ConfigDict, part: str, out: pathlib.Path
) -> dict[str, np.ndarray]:
  """Parameters under the names of their origin; '/' splits them."""
  if config.model.name == 'rvm':
    return rvm_released.to_released(params, part)
  origin = hugging_face.origin_of(config.model)
  if part != 'all' or out.suffix != '.safetensors':
    raise ValueError(
      f'{origin.name} weights go as a whole into .safetensors; got part '
      f'{part!r} and {out}.'
    )
  height, width = config.data.crop.size
  p = config.model.patch_size
  arrays = state_dict.to_state_dict(params, origin, (height // p, width // p))
  return {name.replace('.', '/'): array for name, array in arrays.items()}


def read_weights(path: str | pathlib.Path) -> dict[str, np.ndarray]:
  """Arrays of an exported or released file, by released name."""
  return _format(path).read(path)


def read_config(path: str | pathlib.Path) -> ml_collections.ConfigDict:
  """The config of the run that a file was exported from.

  Raises:
    ValueError: the file names none, as the released ones do not.
  """
  metadata = _format(path).read_metadata(path)
  if 'config' not in metadata:
    raise ValueError(
      f'{path} does not say which config made it; rvmae_jax.export did not '
      f'write it.'
    )
  return config_utils.from_json(metadata['config'])


def read_params(
  path: str | pathlib.Path,
) -> tuple[dict, ml_collections.ConfigDict]:
  """Parameters and config of an exported file; a `load_file` of `load_params`.

  Returns:
    Nested dict of arrays, without the decoder where the file has none, and the
    config of the model that they fit.

  Raises:
    ValueError: the file does not name its config, or an array does not fit.
  """
  config = read_config(path)
  if 'scan_layers' in config.model:
    config.model.scan_layers = False  # The file has an array for each block.
  model = build_model(config.model)
  if config.model.name != 'rvm':
    return _fit_state_dict(state_dict.read(path), model), config
  return _fit(read_weights(path), model), config


def load_model(path: str | pathlib.Path) -> tuple[nn.Module, dict]:
  """The network and the parameters of a weights file, whoever made it.

  With them `model.apply({'params': params}, video, method='encode')` gives
  features; see `models.rvm.RVM` and `models.videomae.VideoMAE`.

  Args:
    path: an exported file; a released RVM; or a PyTorch state dict of
      `interop.hugging_face` (.safetensors, or .bin, .pth and the like with
      torch), best with its config.json beside it. Without a config sizes are
      read off the arrays and all else is the paper's.

  Raises:
    ValueError: nobody knows the file's names, or an array does not fit.
  """
  suffix = pathlib.Path(path).suffix
  if suffix in FORMATS and 'config' in _format(path).read_metadata(path):
    params, config = read_params(path)
    return build_model(config.model), params
  if suffix == '.npz' or is_released_rvm(path):
    arrays = read_weights(path)
    fields = rvm_released.model_fields(arrays)
    model = build_model({'name': 'rvm', **fields})
    return model, _fit(arrays, model)
  arrays = state_dict.read(path)
  config_file = pathlib.Path(path).with_name('config.json')
  config = json.loads(config_file.read_text()) if config_file.exists() else {}
  origin = hugging_face.find_origin(arrays)
  model = build_model(hugging_face.model_config(arrays, origin, config))
  return model, _fit_state_dict(arrays, model)


def is_released_rvm(path: str | pathlib.Path) -> bool:
  """Whether a file holds an RVM under its released names."""
  return pathlib.Path(path).suffix in FORMATS and any(
    name.startswith('tokenizer/') for name in read_weights(path)
  )


def _fit_state_dict(arrays: dict[str, np.ndarray], model: nn.Module) -> dict:
  """A state dict as parameters of a model; all of it has to fit."""
  origin = hugging_face.find_origin(arrays)
  has_decoder = origin.arrays.get('decoder/mask_token') in arrays
  # Parameters do not depend on the size of a clip: two tubelets of one slot.
  network = getattr(model, 'backbone', model)
  z, p = network.tubelet_size, network.patch_size
  ids = jax.ShapeDtypeStruct((1, 1), np.int32)
  video = jax.ShapeDtypeStruct((1, z, p, 2 * p, 3), np.uint8)
  init, inputs = functools.partial(model.init, method='encode'), video
  if has_decoder or isinstance(model, Classifier):
    init = model.init
    inputs = {'video': video, 'ids_keep': ids, 'ids_mask': ids}
  shapes = jax.eval_shape(init, jax.random.key(0), inputs)
  params, report = state_dict.from_state_dict(arrays, shapes['params'], origin)
  report.require_complete()
  return params


def _fit(arrays: dict[str, np.ndarray], model: RVM) -> dict:
  """Released arrays as parameters of a model."""
  # Parameters do not depend on the size of a clip: one frame of one patch.
  frame = jax.ShapeDtypeStruct((1, 1, *(model.patch_size,) * 2, 3), np.uint8)
  spec = {
    'video': frame,
    'target': frame,
    'target_delta': jax.ShapeDtypeStruct((1, 1), np.int32),
    'ids_keep': jax.ShapeDtypeStruct((1, 1, 1), np.int32),
  }
  shapes = jax.eval_shape(model.init, jax.random.key(0), spec)['params']
  return rvm_released.from_released(arrays, shapes)


def _format(path: str | pathlib.Path) -> types.ModuleType:
  suffix = pathlib.Path(path).suffix
  if suffix not in FORMATS:
    raise ValueError(
      f'{path} ends in {suffix!r}; use one of {", ".join(FORMATS)}.'
    )
  return FORMATS[suffix]


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


def main(argv: Sequence[str] | None = None) -> None:
  """Exports what the command line says and prints what the file holds."""
  parser = argparse.ArgumentParser(
    prog='rvmae_jax.export', description=__doc__.partition('\n')[0]
  )
  parser.add_argument(
    '--checkpoint', required=True, help='workdir of a run, or a checkpoint'
  )
  parser.add_argument(
    '--out', required=True, help='file to write: .npz or .safetensors'
  )
  parser.add_argument(
    '--part', default='all', choices=PARTS, help='encoder: encoder and core'
  )
  parser.add_argument(
    '--ema', action='store_true', help='moving average of the parameters'
  )
  args = parser.parse_args(argv)
  export(args.checkpoint, args.out, part=args.part, ema=args.ema)
  arrays = read_weights(args.out)
  num_values = sum(array.size for array in arrays.values())
  print(f'{args.out}: {len(arrays)} arrays, {num_values / 1e6:.2f} M values')


if __name__ == '__main__':
  main()
