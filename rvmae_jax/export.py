"""Takes the weights of a run away, under the names that others know.

  python -m rvmae_jax.export --checkpoint runs/rvm --out rvm.npz
  python -m rvmae_jax.export --checkpoint runs/rvm --out rvm.safetensors --ema

The suffix of --out chooses the format; all hold float32 arrays. RVM goes into
.npz or .safetensors with the names and the layout of its released files
(`encoder/layers_0/attention/query/kernel`; split by '.' in .safetensors); the
log warns of one that others would take for another network, as they would with
`position='sincos_2d'`. The VideoMAE family goes into .safetensors or .bin as
Hugging Face has it, with a config.json beside, or into .pth as the papers' code
has it. All but .bin keep the config of the run, with which `rvmae_jax.weights`
makes a network again.
"""

import argparse
import json
import pathlib
from collections.abc import Mapping, Sequence

import ml_collections
import numpy as np
from absl import logging

import rvmae_jax
from rvmae_jax import config_utils, weights
from rvmae_jax.data.writing import whole_file
from rvmae_jax.interop import (
  hugging_face,
  hugging_face_config,
  rvm_released,
  state_dict,
  torch_files,
)
from rvmae_jax.models import build_model

PARTS = ('all', 'encoder')
RVM_SUFFIXES = ('.npz', '.safetensors')
FAMILY_SUFFIXES = ('.safetensors', '.bin', '.pth')


def export(
  checkpoint: str | pathlib.Path,
  out: str | pathlib.Path,
  *,
  part: str = 'all',
  ema: bool = False,
) -> None:
  """Writes a checkpoint's parameters; the file appears whole or not at all.

  Args:
    checkpoint: what `weights.load` takes.
    out: ends in .npz, .safetensors, .bin or .pth, as above; replaced if it
      exists, as is a config.json beside it.
    part: 'all', or 'encoder' for what features need (encoder and core).
    ema: take the moving average (EMA) of the parameters.

  Raises:
    ValueError: an unknown suffix, a model that nobody else has (such as an RVM
      without gates), or a run that kept no EMA when `ema` asks for it.
    OSError: what was written does not read back equal.
  """
  out = pathlib.Path(out)
  params, config = weights.load(checkpoint, ema=ema)
  arrays, beside = _named_arrays(params, config, part, out)
  metadata = {
    'config': config_utils.to_json(config),
    'part': part,
    'parameters': 'ema' if ema else 'last',
    'rvmae_jax': rvmae_jax.__version__,
  }
  out.parent.mkdir(parents=True, exist_ok=True)
  with whole_file(out) as partial:
    _write(partial, arrays, metadata)
    _check_equal(weights.read_arrays(partial), arrays)
  if beside:
    out.with_name('config.json').write_text(json.dumps(beside, indent=2))


def _named_arrays(
  params: dict, config: ml_collections.ConfigDict, part: str, out: pathlib.Path
) -> tuple[dict[str, np.ndarray], dict]:
  """Parameters under the names of their origin, and what goes beside them."""
  is_rvm = config.model.name == 'rvm'
  suffixes = RVM_SUFFIXES if is_rvm else FAMILY_SUFFIXES
  if out.suffix not in suffixes or (part != 'all' and not is_rvm):
    raise ValueError(
      f'{out} with part {part!r}: a {config.model.name} goes '
      f'{"" if is_rvm else "as a whole "}into {", ".join(suffixes)}.'
    )
  beside = {}
  if is_rvm:
    arrays = rvm_released.to_released(params, part)
    unseen = rvm_released.unseen_differences(config.model, part)
    if unseen:
      logging.warning(
        'Not a released RVM, though %s has its names: no array tells that %s. '
        'rvmae_jax reads it from the note in the file; code of others will '
        'compute something else without a word.',
        out,
        ', '.join(f'{field}={value!r}' for field, value in unseen.items()),
      )
  else:
    is_original = out.suffix == '.pth'
    origin = hugging_face.origin_of(config.model, is_original)
    height, width = config.data.crop.size
    p = config.model.patch_size
    arrays = state_dict.to_state_dict(params, origin, (height // p, width // p))
    if not is_original:
      beside = hugging_face_config.config_json(
        build_model(config.model),
        config.data.clip.get('num_frames', 1),
        (height, width),
        config.get('objective', {}).get('normalize', 'none'),
      )
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


def main(argv: Sequence[str] | None = None) -> None:
  """Exports what the command line says and prints what the file holds."""
  parser = argparse.ArgumentParser(
    prog='rvmae_jax.export', description=__doc__.partition('\n')[0]
  )
  parser.add_argument(
    '--checkpoint',
    required=True,
    help='a run, a checkpoint or a file',
  )
  parser.add_argument(
    '--out',
    required=True,
    help='.npz, .safetensors, .bin or .pth',
  )
  parser.add_argument(
    '--part', default='all', choices=PARTS, help='encoder: encoder and core'
  )
  parser.add_argument(
    '--ema', action='store_true', help='moving average of the parameters'
  )
  args = parser.parse_args(argv)
  export(args.checkpoint, args.out, part=args.part, ema=args.ema)
  arrays = weights.read_arrays(args.out)
  num_values = sum(array.size for array in arrays.values())
  print(f'{args.out}: {len(arrays)} arrays, {num_values / 1e6:.2f} M values')


if __name__ == '__main__':
  main()
