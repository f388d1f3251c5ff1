"""Says what a file or folder of weights is, and what would load from it."""

import collections
import dataclasses
import functools
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np
from flax.traverse_util import flatten_dict

from rvmae_jax import files, weights
from rvmae_jax.data.writing import make_folder_of, write_whole
from rvmae_jax.evaluate import fresh_params
from rvmae_jax.interop import (
  hugging_face,
  readout_released,
  rvm_released,
  sharded,
  vgg,
)
from rvmae_jax.models import build_model, rvm, videomae
from rvmae_jax.registry import some_names
from rvmae_jax.training import checkpointing

_VARIANTS = {'rvm': rvm.VARIANTS, 'videomae': videomae.VARIANTS}
# What of a config tells how a run was trained.
_CONFIG_KEYS = ('batch_size', 'total_steps', 'ema_decay', 'seed')


@dataclasses.dataclass
class CheckpointReport:
  """What is at a path, and what would become of it.

  Attributes:
    path: that was looked at.
    kind: what it is, in words; 'unknown' or 'damaged' if nothing would load.
    num_arrays, num_values: of the parameters.
    dtypes: name -> number of arrays.
    model: name, variant and the fields that say most, for people.
    step: that a run was at; None where a file does not tell.
    config: entries of the run's config.
    num_matching: arrays that found their place.
    missing: arrays of the model that are not there.
    extra: arrays that the model does not have.
    misshapen: a sentence for each array of another shape.
    not_finite: arrays with NaN or infinity in them.
    error: why nothing would load, and what to do.
    note: what else to know.
  """

  path: str
  kind: str = 'unknown'
  num_arrays: int = 0
  num_values: int = 0
  dtypes: dict[str, int] = dataclasses.field(default_factory=dict)
  model: str = ''
  step: int | None = None
  config: dict[str, Any] = dataclasses.field(default_factory=dict)
  num_matching: int = 0
  missing: list[str] = dataclasses.field(default_factory=list)
  extra: list[str] = dataclasses.field(default_factory=list)
  misshapen: list[str] = dataclasses.field(default_factory=list)
  not_finite: list[str] = dataclasses.field(default_factory=list)
  error: str = ''
  note: str = ''

  @property
  def loads(self) -> str:
    """'whole', 'in part' or 'not at all'."""
    if self.error or not self.num_matching:
      return 'not at all'
    partly = self.missing or self.extra or self.misshapen
    return 'in part' if partly else 'whole'


def check_checkpoint(path: str | pathlib.Path) -> CheckpointReport:
  """Looks at a run, a checkpoint, a weights file or a folder with one.

  Raises:
    FileNotFoundError: there is nothing at `path`.
  """
  path = pathlib.Path(path)
  if not path.exists():
    raise FileNotFoundError(f'There is nothing at {path}.')
  report = CheckpointReport(str(path))
  file = weights.find_file(path)
  try:
    with files.naming(file or path, 'does not load', remedy=''):
      if file is None:
        _check_run(path, report)
      else:
        _check_file(file, report)
  except (ValueError, OSError, ImportError, KeyError) as error:
    report.error = str(error)
    if report.kind == 'damaged' and file is None:
      report.note = 'Another step may be intact: give its checkpoints/<step>.'
  return report


def _check_run(path: pathlib.Path, report: CheckpointReport) -> None:
  """A workdir, or one of its checkpoints."""
  directory = checkpointing.find_checkpoint(path)
  report.kind = 'damaged'
  params, config = checkpointing.load_params(directory)
  is_run = pathlib.Path(str(directory)) != path.absolute()
  report.kind = 'run of rvmae_jax' if is_run else 'checkpoint of rvmae_jax'
  if directory.name.isdecimal():
    report.step = int(directory.name)
  arrays = flatten_dict(params, sep='/')
  _count(arrays, report)
  _describe(config, report)
  # The network alone: its losses may need files that are not here.
  wanted = jax.eval_shape(functools.partial(fresh_params, config))
  _compare(arrays, flatten_dict(wanted, sep='/'), report)
  if config.get('ema_decay'):
    report.note = 'It has a moving average of the parameters besides (--ema).'


def _check_file(file: pathlib.Path, report: CheckpointReport) -> None:
  known = (*weights.FORMATS, *weights.TORCH_SUFFIXES, sharded.SUFFIX)
  if file.name.endswith(known):
    report.kind = 'damaged'
  metadata = weights.read_metadata(file)
  arrays = weights.read_arrays(file)
  report.kind = 'unknown'
  _count(arrays, report)
  if vgg.is_vgg16(arrays):
    report.kind = 'VGG16 or LPIPS, for config.perceptual_checkpoint'
    vgg.from_arrays(arrays)
    report.num_matching = len(arrays)
    return
  if readout_released.is_readout(arrays):
    _check_readout(arrays, metadata, report)
    return
  if 'config' in metadata:
    report.kind = (
      f'export of rvmae_jax {metadata.get("rvmae_jax", "")}, '
      f'{metadata.get("part", "all")} of the parameters '
      f'({metadata.get("parameters", "last")})'
    )
  elif weights.is_released_rvm(arrays):
    report.kind = 'released RVM'
  else:
    report.kind = hugging_face.find_origin(arrays)[0].name
    if sharded.is_index(file):
      names = [part.name for part in sharded.find_files(file)]
      report.kind += f', in {len(names)} files'
      report.note = f'{file.name} names {", ".join(names)}. '
    if file.with_name('config.json').exists():
      report.note += 'Settings are read from the config.json beside it.'
  config = weights.config_of(file, metadata, arrays)
  model = build_model(config.model)
  if config.model.name == 'rvm':
    found = _shapes(arrays)
    _compare_released(found, model, report)
  else:
    _, match = weights.match_state_dict(arrays, model)
    report.num_matching = len(match.loaded)
    report.missing, report.extra = match.missing, match.unused
    report.misshapen = match.misshapen
  _describe(config, report)


def _check_readout(
  arrays: Mapping[str, np.ndarray],
  metadata: Mapping[str, str],
  report: CheckpointReport,
) -> None:
  report.kind = 'readout head, for rvmae_jax.weights.load_readout'
  found, others = readout_released.find_readout(arrays)
  if others:
    report.note = (
      f'{len(others)} other arrays are left: {some_names(sorted(others), 3)}.'
    )
  fields = weights.readout_fields(found, metadata)
  shapes = readout_released.template(found, fields)
  _compare(found, readout_released.to_released(_weightless(shapes)), report)
  details = (f'{key} {value}' for key, value in fields.items() if key != 'name')
  slots, depth = shapes['readout']['temporal_position'].shape[::2]
  report.model = (
    f'{fields["name"]}: {", ".join(details)}, for features of {slots} frames '
    f'or tubelets, {depth} wide'
  )


def _weightless(shapes: Any) -> Any:
  """Zeros of stride 0: names and shapes without the memory."""
  return jax.tree.map(
    lambda leaf: np.broadcast_to(np.float32(0), leaf.shape), shapes
  )


def _compare_released(
  found: Mapping[str, tuple], model: Any, report: CheckpointReport
) -> None:
  params = _weightless(weights.released_shapes(model))
  part = 'all' if 'mask_token' in found else 'encoder'
  wanted = rvm_released.to_released(params, part)
  _compare(found, wanted, report)


def _compare(
  found: Mapping[str, Any], wanted: Mapping[str, Any], report: CheckpointReport
) -> None:
  """Names and shapes against names and shapes."""
  found, wanted = _shapes(found), _shapes(wanted)
  both = found.keys() & wanted.keys()
  report.missing = sorted(wanted.keys() - both)
  report.extra = sorted(found.keys() - both)
  report.misshapen = [
    f'{name} {found[name]}, the model has {wanted[name]}'
    for name in sorted(both)
    if found[name] != wanted[name]
  ]
  report.num_matching = len(both) - len(report.misshapen)


def _count(arrays: Mapping[str, np.ndarray], report: CheckpointReport) -> None:
  report.num_arrays = len(arrays)
  report.num_values = sum(int(np.size(array)) for array in arrays.values())
  report.dtypes = dict(
    collections.Counter(str(array.dtype) for array in arrays.values())
  )
  report.not_finite = sorted(
    name
    for name, array in arrays.items()
    if not np.isfinite(np.asarray(array, np.float32)).all()
  )


def _describe(
  config: ml_collections.ConfigDict, report: CheckpointReport
) -> None:
  """The model, and what of the config a reader would ask for first."""
  model = build_model(config.model)
  network = getattr(model, 'backbone', model)
  name = config.model.get('backbone', config.model.name)
  variant = next(
    (
      f' {variant}'
      for variant, fields in _VARIANTS.get(name, {}).items()
      if all(
        getattr(network, field) == value
        for field, value in fields.items()
        if not field.startswith('decoder')
      )
    ),
    '',
  )
  details = [
    f'{text} {getattr(network, field)}'
    for field, text in (
      ('space_time', 'attention'),
      ('patch_size', 'patch'),
      ('tubelet_size', 'tubelet'),
      ('width', 'width'),
      ('encoder_blocks', 'blocks'),
      ('encoder_heads', 'heads'),
    )
    if hasattr(network, field)
  ]
  report.model = f'{name}{variant}: {", ".join(details)}'
  if network is not model:
    classes = getattr(model, 'num_classes', None)
    head = f' of {classes} classes' if classes else ''
    report.model = f'{config.model.name}{head} on {report.model}'
  report.config = {
    'objective': config.objective.name,
    'losses': dict(config.losses),
    'clip': config.data.clip.to_dict(),
    'size': list(config.data.crop.size),
    'mask': config.data.mask.to_dict() if config.data.get('mask') else {},
    'sources': {
      alias: source.name
      for alias, source in config.data.get('sources', {}).items()
    },
    **{key: config[key] for key in _CONFIG_KEYS if key in config},
  }


def format_report(report: CheckpointReport) -> str:
  """The report as lines for people."""
  dtypes = ', '.join(
    f'{dtype} ({n})' if len(report.dtypes) > 1 else dtype
    for dtype, n in report.dtypes.items()
  )
  step = '' if report.step is None else f'{report.step}'
  rows = [
    ('what', report.kind),
    ('step', step),
    (
      'arrays',
      f'{report.num_arrays}, {report.num_values / 1e6:.2f} M values, {dtypes}'
      if report.num_arrays
      else '',
    ),
    ('model', report.model),
    *((key, _plain(value)) for key, value in report.config.items()),
    ('loads', report.loads),
    ('matching', str(report.num_matching) if report.num_matching else ''),
    ('missing', _some(report.missing)),
    ('extra', _some(report.extra)),
    ('shapes', _some(report.misshapen)),
    ('not finite', _some(report.not_finite)),
    ('error', report.error),
    ('note', ' '.join(filter(None, (report.note, _advice(report))))),
  ]
  lines = [f'  {name:12} {text}' for name, text in rows if text]
  return '\n'.join([report.path, *lines])


def _advice(report: CheckpointReport) -> str:
  if report.loads == 'in part':
    return (
      'config.checkpoint.init_from takes the parts that are whole; evaluate '
      'and export need all.'
    )
  return ''


def _plain(value: Any) -> str:
  if isinstance(value, Mapping):
    return ', '.join(f'{k}={_plain(v)}' for k, v in value.items())
  return str(value)


def _some(names: Sequence[str]) -> str:
  return f'{len(names)}: {some_names(names, between="; ")}' if names else ''


def _shapes(arrays: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
  return {
    name: array if isinstance(array, tuple) else tuple(np.shape(array))
    for name, array in arrays.items()
  }


def add_command(commands: Any) -> None:
  """Adds `doctor checkpoint PATH`."""
  command = commands.add_parser(
    'checkpoint', help='identify weights and check them'
  )
  command.set_defaults(run=_run)
  command.add_argument(
    'path', help='a run, a checkpoint, a weights file or a folder with one'
  )
  command.add_argument(
    '--json', default='', metavar='OUT', help='also write the report here'
  )


def _run(arguments: Any) -> int:
  make_folder_of(arguments.json)
  report = check_checkpoint(arguments.path)
  print(format_report(report))
  if arguments.json:
    content = dataclasses.asdict(report) | {'loads': report.loads}
    write_whole(pathlib.Path(arguments.json), json.dumps(content, indent=1))
  return int(report.loads != 'whole' or bool(report.not_finite))
