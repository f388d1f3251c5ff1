"""Exports a run: weights for other programs, or a file that runs on its own.

    python -m rvmae_jax.export --checkpoint runs/rvm --out rvm.npz
    python -m rvmae_jax.export --checkpoint runs/rvm --out rvm.safetensors --ema
    python -m rvmae_jax.export --checkpoint runs/rvm --out rvm.onnx \\
      [--function step|encode|classify] [--size 256x256] \\
      [--dtype bfloat16 | --quantise int8]

The suffix of --out chooses the format. `.stablehlo`, `.onnx`, `.tflite` and a
folder `saved_model` are artifacts: programs that run the network without this
library, see `rvmae_jax.artifacts` and docs/artifacts.md.

`hf://ORGANISATION/NAME` uploads weights, their config and a model card to the
Hugging Face Hub. The card is the run's MODEL_CARD.md, as tools/model_card
writes it, or else one made from the files of the run and its evaluation.

All other formats hold the weights, as float32 arrays. RVM becomes .npz or
.safetensors with the names and layout of the released files
(`encoder/layers_0/attention/query/kernel`; with '.' for '/' in .safetensors).
The log warns if code written for the released files would load the weights but
build another network, as with `position='sincos_2d'`. The VideoMAE family
becomes .safetensors or .bin in Hugging Face's format, with config.json and
preprocessor_config.json beside it, or .pth in that of the papers' code. All but
.bin keep the config of the run, from which `rvmae_jax.weights` rebuilds the
network.

Only --out itself is replaced. Nothing is written if its folder holds the
settings of another network, or weights that programs would load instead.
"""

import itertools
import json
import pathlib
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from absl import logging

from rvmae_jax import artifacts, config_utils, files, weights
from rvmae_jax.artifacts import writing
from rvmae_jax.artifacts.program import build_program, usual_function
from rvmae_jax.commands import command_line, explains_errors
from rvmae_jax.data import manifest
from rvmae_jax.data.pipeline import batch_spec
from rvmae_jax.data.writing import write_whole
from rvmae_jax.evals import kept_probe
from rvmae_jax.interop import hub, hugging_face_settings
from rvmae_jax.layers.quantised_products import KINDS
from rvmae_jax.tools import model_card
from rvmae_jax.training.environment import environment
from rvmae_jax.write_weights import (
  FAMILY_SUFFIXES,
  RVM_SUFFIXES,
  write_params,
)

PARTS = ('all', 'encoder')
# How a card on the hub ends.
CALL = """\
## To use it

```python
from rvmae_jax import weights

model, params = weights.load_model('{address}')
features = model.apply({{'params': params}}, video, method='encode')
```
"""
# Options that only some kinds of --out have.
_OPTIONS = {
  'weights': ('part',),
  'artifact': (
    *('function', 'size', 'num_frames', 'dtype', 'quantise'),
    *('probe', 'pooling', 'licence'),
  ),
  'hub': ('licence', 'private'),
}


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
      exists.
    part: 'all', or 'encoder' for what features need (encoder and core).
    ema: take the moving average (EMA) of the parameters.

  Raises:
    ValueError: a run that kept no EMA when `ema` asks for it; or see
      `write_params`.
    FileExistsError, OSError: see `write_params`.
  """
  params, config = weights.load(checkpoint, ema=ema)
  write_params(
    params, config, out, part=part, parameters='ema' if ema else 'last'
  )


def export_artifact(
  checkpoint: str | pathlib.Path,
  out: str | pathlib.Path,
  *,
  function: str = '',
  ema: bool = False,
  size: tuple[int, int] | None = None,
  num_frames: int = 0,
  dtype: str = 'float32',
  quantise: str = '',
  probe: str | pathlib.Path = '',
  pooling: str = '',
  licence: str = '',
) -> dict[str, Any]:
  """Writes a function of a network as a file that runs without this library.

  Args:
    checkpoint: what `weights.load` takes.
    out: ends in .stablehlo, .onnx or .tflite, or is a folder `saved_model`.
    function: see `artifacts.program.build_program`; '' means 'classify' of a
      classifier, else 'step' of a recurrent network, else 'encode'.
    ema: take the moving average (EMA) of the parameters.
    size: (height, width) of frames; None takes the size used in training.
    num_frames: frames in a clip; 0 takes the number used in training or, with
      `probe`, in the probe's training.
    dtype: the type in which kernels are stored.
    quantise: how to store kernels in fewer bits, a key of
      `layers.quantised_products.KINDS`; replaces `dtype`.
    probe: folder or file of a saved linear probe, for 'classify'.
    pooling: which of its poolings, see `evals.kept_probe.read`.
    licence: licence of the weights, for the note; '' if unknown.

  Returns:
    The note that lies beside the file, see `artifacts.writing.write`.

  Raises:
    FileExistsError, ImportError, ValueError: see `artifacts.writing.write` and
      `artifacts.program.build_program`; nothing is written then.
  """
  writing.check_place(out)
  params, config = weights.load(checkpoint, ema=ema)
  kept = kept_probe.read(probe, pooling) if probe else None
  function = function or usual_function(config.model, bool(kept))
  if num_frames and function == 'step':
    raise ValueError(
      f'num_frames={num_frames} does nothing for a step, which takes one '
      "frame; export the function 'encode' for clips."
    )
  spec = batch_spec(config.data, 1, **config_utils.token_size(config.model))
  trained = kept.num_frames if kept else spec['video'].shape[1]
  num_frames = num_frames or trained
  size = size or spec['video'].shape[2:4]
  exported = build_program(
    config.model,
    params,
    function,
    size=size,
    num_frames=num_frames,
    kernels=quantise or dtype,
    probe=kept,
  )
  run = manifest.find_run(checkpoint)
  found = manifest.read(run) if run else None
  facts = {
    'kernels': quantise or dtype,
    'size': size,
    'num_frames': num_frames,
    'weights': 'ema' if ema else 'last',
    'licences': {
      'weights': licence,
      # Source -> licence -> how many of its videos. Those of the runs that this
      # one started from count, too.
      'training_videos': {
        manifest.source_name(entry): entry.get('provenance', {}).get(
          'licence', {}
        )
        for entry in (found['sources'] if found else ())
      },
      'unknown_origin': found['unknown_origin'] if found else '',
    },
    'versions': environment(),
    'config': json.loads(config_utils.to_json(config)),
  }
  if kept:
    facts['probe'] = {
      'pooling': kept.pooling,
      'classes': kept.classes.tolist(),
    }
  if exported.function == 'classify':
    learned = manifest.learned_classes(found) if found else {}
    # Sources agree on shared classes, so the longest list of names has all.
    longest = max(learned.values(), key=len, default=[])
    facts['class_names'] = list(kept.class_names) if kept else longest
  return writing.write(exported, out, facts)


def _evaluations(run: pathlib.Path, params: Any) -> list[pathlib.Path]:
  """The evaluation of a run, if there is one and it is of these parameters."""
  folder = run / model_card.EVALUATION
  path = folder / model_card.METRICS
  if not path.exists():
    return []
  if files.read_json(path).get('weights') != weights.params_digest(params):
    logging.warning(
      'The card leaves out %s, which measured other weights of the run.', folder
    )
    return []
  return [folder]


def push(
  checkpoint: str | pathlib.Path,
  out: str,
  *,
  ema: bool = False,
  licence: str = '',
  private: bool = False,
) -> str:
  """Puts weights, their config and a card into a repository of the hub.

  Args:
    checkpoint: what `weights.load` takes. The card of a run is its
      MODEL_CARD.md, or else is written from what is known of the run.
    out: see `interop.hub`; the repository is made if it is not there.
    ema: take the moving average (EMA) of the parameters.
    licence: of the weights, as the hub spells it, such as 'cc-by-4.0'.
    private: whether a new repository is.

  Returns:
    Where people find it.

  Raises:
    ImportError, ValueError: see `export` and `interop.hub.upload`.
  """
  with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    params, config = weights.load(checkpoint, ema=ema)
    write_params(
      params,
      config,
      folder / weights.IN_FOLDERS[0],
      parameters='ema' if ema else 'last',
    )
    settings = folder / hugging_face_settings.CONFIG
    if not settings.exists():
      about = {'model_type': config.model.name, 'library_name': 'rvmae_jax'}
      about['config'] = json.loads(config_utils.to_json(config))
      write_whole(settings, json.dumps(about, indent=2))
    run = manifest.find_run(checkpoint)
    card = f'# {config_utils.model_title(config.model)}\n'
    if run and (run / model_card.CARD).exists():
      card = (run / model_card.CARD).read_text()
    elif run:
      card = model_card.write_card(
        run, _evaluations(run, params), texts={'weights_licence': licence}
      )
    front = ['---', 'library_name: rvmae_jax', 'tags: [video]']
    front += [f'license: {licence}'] if licence else []
    call = CALL.format(address=out)
    write_whole(
      folder / 'README.md', '\n'.join([*front, '---', '', card, call])
    )
    return hub.upload(folder, out, private)


@explains_errors('export')
def main(argv: Sequence[str] | None = None) -> int:
  """Exports what the command line says; returns the exit code."""
  parser = command_line('rvmae_jax.export', __doc__)
  parser.add_argument(
    '--checkpoint',
    required=True,
    help='a run, a checkpoint or a weights file',
  )
  parser.add_argument(
    '--out',
    required=True,
    help=f'weights: {", ".join((*RVM_SUFFIXES, *FAMILY_SUFFIXES[1:]))}; '
    f'artifacts: {", ".join(artifacts.WRITERS.names())}; '
    'or hf://ORGANISATION/NAME',
  )
  parser.add_argument(
    '--ema',
    action='store_true',
    help='export the moving average of the parameters',
  )
  weights_only = parser.add_argument_group('options for weights')
  weights_only.add_argument(
    '--part', choices=PARTS, help='encoder leaves out the decoder'
  )
  artifacts_only = parser.add_argument_group('options for artifacts')
  artifacts_only.add_argument(
    '--function',
    choices=artifacts.FUNCTIONS,
    help='default: classify for a classifier or with --probe, step for other '
    'recurrent networks, encode for the rest',
  )
  artifacts_only.add_argument(
    '--size', help='HEIGHTxWIDTH of frames; default: as in training'
  )
  artifacts_only.add_argument(
    '--num_frames',
    type=int,
    help='frames in a clip; default: as in training, or as the probe read',
  )
  artifacts_only.add_argument(
    '--dtype', choices=artifacts.DTYPES, help='type of the kernels inside'
  )
  artifacts_only.add_argument(
    '--quantise', choices=tuple(KINDS), help='store kernels in fewer bits'
  )
  artifacts_only.add_argument(
    '--probe', help='folder of a linear probe that an evaluation saved'
  )
  artifacts_only.add_argument(
    '--pooling', help="which of the probe's poolings, if it has several"
  )
  parser.add_argument(
    '--licence',
    help='licence of the weights, to note in artifacts and on the hub',
  )
  parser.add_argument(
    '--private',
    action='store_true',
    default=None,
    help='make a new repository private',
  )
  args = vars(parser.parse_args(argv))
  kind = 'artifact' if artifacts.kind_of(args['out']) else 'weights'
  if '://' in args['out'] and not hub.is_address(args['out']):
    parser.error(
      f'--out={args["out"]}: files are written to local disks; export there '
      'and copy it, or use hf://ORGANISATION/NAME.'
    )
  if hub.is_address(args['out']):
    kind = 'hub'
  for name in {*itertools.chain(*_OPTIONS.values())} - {*_OPTIONS[kind]}:
    if args.pop(name) is not None:
      parser.error(f'--{name} does nothing for --out={args["out"]}.')
  args = {key: value for key, value in args.items() if value is not None}
  if {'dtype', 'quantise'} <= set(args):
    parser.error('--dtype and --quantise: give one of them.')
  if 'pooling' in args and 'probe' not in args:
    parser.error('--pooling does nothing without --probe.')
  if 'size' in args:
    try:
      args['size'] = config_utils.parse_size(args['size'])
    except ValueError as error:
      parser.error(f'--size: {error}')
  if kind == 'hub':
    print(push(**args))
    return 0
  if kind == 'artifact':
    note = export_artifact(**args)
    num_bytes = sum(file['bytes'] for file in note['files'].values())
    print(
      f'{args["out"]}: {note["function"]}, {note["parameters"] / 1e6:.2f} M '
      f'parameters, {num_bytes / 1e6:.2f} MB; '
      f'{writing.note_path(args["out"])} says how to call it'
    )
    return 0
  export(**args)
  arrays = weights.read_arrays(args['out'])
  num_values = sum(array.size for array in arrays.values())
  print(f'{args["out"]}: {len(arrays)} arrays, {num_values / 1e6:.2f} M values')
  return 0


if __name__ == '__main__':
  sys.exit(main())
