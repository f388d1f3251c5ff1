"""Evaluations by name; each is one file here and one line in `EVALS`.

An evaluation is a frozen dataclass whose fields say everything about it: the
videos it reads (`evals.videos.Videos`, one for each of its `sides`) and its own
settings. `build_eval` makes it from an entry of `config.evals`; nothing is
decided later. How its arrays are drawn is one line in
`rvmae_jax.visualize.FIGURES`.
"""

import abc
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from absl import logging
from ml_collections import ConfigDict

from rvmae_jax import config_utils
from rvmae_jax.registry import Registry, check_known, near_names

# Raise it with every change that alters the numbers of an evaluation.
VERSION = 4


class Result(NamedTuple):
  """What an evaluation found.

  Attributes:
    metrics: numbers, named from the general to the special with slashes; empty
      where there was nothing to measure, and the log says why.
    arrays: what pictures need.
  """

  metrics: dict[str, float]
  arrays: dict[str, np.ndarray]


class Evaluation(abc.ABC):
  """Base class of evaluations; subclasses override what differs.

  Attributes:
    sides: names of its fields that are `Videos`.
    reads: the keys of a data config that decide its numbers.
    as_trained: keys of `reads` that are taken from the run unless given.
    rebuilds: which frames a network has to rebuild for it, see `unfit_evals`;
      empty if none.
    asks_classifier: whether it tests the network's own classifier, trained on
      the run's videos, and not one that it trains on videos of its own.
    is_of_device: whether it measures the device, and has to be run again on
      another one.
    num_trainings: number of heads trained, chosen or not.
    trivial_name: name of the answer that ignores the video; '' without one.
  """

  sides: ClassVar[Sequence[str]] = ('videos',)
  reads: ClassVar[Sequence[str]] = ('sources', 'clip', 'crop')
  as_trained: ClassVar[Sequence[str]] = ()
  rebuilds: ClassVar[Sequence[str]] = ()
  asks_classifier: ClassVar[bool] = False
  is_of_device: ClassVar[bool] = False
  num_trainings = 0
  trivial_name = ''

  @abc.abstractmethod
  def run(self, functions: Any) -> Result:
    """Asks a network, given as `evals.functions.ModelFunctions`."""

  def test_files(self) -> list[str]:
    """Test files of a dataset that it reads itself, not through sources."""
    return []

  def first_frames(self) -> Any:
    """As `Videos.first_frames`, of a dataset of its own; None without one."""
    return None

  def videos_by_side(self) -> dict[str, Any]:
    """The `Videos` that are read."""
    found = {side: getattr(self, side) for side in self.sides}
    return {k: v for k, v in found.items() if v and v.sources}

  def skipped(self, reason: str) -> Result:
    """An empty result; the log says why."""
    logging.info('%s skipped: %s.', type(self).__name__, reason)
    return Result({}, {})

  def refuse_unused(self, names: Iterable[str], why: str) -> None:
    """Refuses settings that would do nothing, unless they have their defaults.

    Raises:
      ValueError: names a setting, its value and why it does nothing.
    """
    for field in dataclasses.fields(self):
      if field.name in names:
        default = field.default
        if default is dataclasses.MISSING:
          default = field.default_factory()
        value = getattr(self, field.name)
        if value != default:
          raise ValueError(f'{field.name}={value!r} does nothing {why}.')

  def resolve(self, **settings: Any) -> None:
    """Sets fields that the config left open; for `__post_init__` only."""
    for name, value in settings.items():
      object.__setattr__(self, name, value)


EVALS = Registry(
  'evaluation',
  {
    'accuracy': 'rvmae_jax.evals.accuracy:AccuracyEval',
    'attentive_probe': 'rvmae_jax.evals.attentive_probe:AttentiveProbeEval',
    'box_tracking': 'rvmae_jax.evals.box_tracking:BoxTrackingEval',
    'clip_reconstruction': (
      'rvmae_jax.evals.clip_reconstruction:ClipReconstructionEval'
    ),
    'cost': 'rvmae_jax.evals.cost:CostEval',
    'depth': 'rvmae_jax.evals.depth:DepthEval',
    'feature_quality': 'rvmae_jax.evals.feature_quality:FeatureQualityEval',
    'knn': 'rvmae_jax.evals.knn:KnnEval',
    'label_propagation': (
      'rvmae_jax.evals.label_propagation:LabelPropagationEval'
    ),
    'linear_probe': 'rvmae_jax.evals.linear_probe:LinearProbeEval',
    'localization': 'rvmae_jax.evals.localization:LocalizationEval',
    'long_video': 'rvmae_jax.evals.long_video:LongVideoEval',
    'point_tracking': 'rvmae_jax.evals.point_tracking:PointTrackingEval',
    'reconstruction': 'rvmae_jax.evals.reconstruction:ReconstructionEval',
    'recurrence': 'rvmae_jax.evals.recurrence:RecurrenceEval',
    'retrieval': 'rvmae_jax.evals.retrieval:RetrievalEval',
    'robustness': 'rvmae_jax.evals.robustness:RobustnessEval',
    'uncertainty': 'rvmae_jax.evals.uncertainty:UncertaintyEval',
  },
)


# The value of a key, or the name of a source, that is taken from the run.
RUN = 'run'
_HOW_TO_READ = ('num_threads', 'num_workers')
# Of a data config, those that evaluations may read.
DATA_KEYS = ('sources', 'clip', 'crop', 'mask', 'max_videos', *_HOW_TO_READ)


def build_eval(
  config: Mapping[str, Any],
  *,
  run_config: ConfigDict,
  shared: Mapping[str, Any] | None = None,
  batch_size: int,
  seed: int = 0,
) -> Any:
  """An evaluation from one entry of `config.evals`.

  What it reads are keys of a data config. Those of a side (`train`, `test`)
  replace those of the entry's `data`, and these the shared ones; a key is
  replaced whole. Nothing comes from the run but what is asked for by name: a
  key with the value 'run', or a source `{'name': 'run', ...}`, which is the
  run's source of the same alias with the settings that stand beside. Keys that
  an evaluation lists in `as_trained` are 'run' unless given.

  Args:
    config: `name`, settings, and optionally `data`, `batch_size` and the
      trainer's `every_steps`.
    run_config: of the run; its network is the one that is asked.
    shared: keys for all evaluations of a config.
    batch_size: clips at once, where the entry has none.
    seed: of masks, and of whatever the evaluation draws.

  Raises:
    ValueError: an unknown evaluation or setting, one that does nothing, or
      something that the run does not have.
  """
  # The pipeline is heavy.
  from rvmae_jax.data.pipeline import DEFAULTS
  from rvmae_jax.evals.videos import Videos

  settings = ConfigDict(config).to_dict()  # Plain, inner ones too.
  evaluation = EVALS.get(settings['name'])
  settings.pop('every_steps', None)
  batch_size = settings.pop('batch_size', batch_size)
  own = dict(settings.pop('data', {}))
  reads = evaluation.reads
  if settings.get('dataset'):  # Read in place of sources.
    reads = [key for key in reads if key != 'sources']
  reads = (*reads, *(('max_videos',) if 'sources' in reads else ()))
  # Known keys that only other evaluations of the config read are passed over.
  shared = dict(shared or {})
  check_known('key of config.data', DATA_KEYS, *shared)
  readable = (*reads, *_HOW_TO_READ)
  shared = {k: v for k, v in shared.items() if k in readable}
  sides = {}
  for side in evaluation.sides:
    if side != 'videos' and side not in settings:
      continue
    keys = own | dict(settings.pop(side, {}))
    for key in keys:
      if key not in readable:
        raise ValueError(
          f'data.{key}={keys[key]!r} does nothing for the evaluation '
          f'{config["name"]!r}, which reads {", ".join(reads)}. '
          f'{near_names(key, readable)}'
        )
    usual = dict.fromkeys(evaluation.as_trained, RUN)
    found = _from_run(usual | shared | keys, run_config.data)
    for key in reads:
      if DEFAULTS[key] is None and not found.get(key):
        raise ValueError(
          f'The evaluation {config["name"]!r} needs data.{key}: give it, or '
          f"'{RUN}' for that of the run."
        )
    sides[side] = Videos(
      **found,
      **config_utils.token_size(run_config.model),
      batch_size=batch_size,
      seed=seed,
    )
  return EVALS.build(settings, **sides)


def build_evals(entries: Mapping[str, Any], **settings: Any) -> dict[str, Any]:
  """Evaluations by alias, see `build_eval`; an error names the alias."""
  evaluations = {}
  for alias, entry in entries.items():
    try:
      evaluations[alias] = build_eval(entry, **settings)
    except ValueError as error:
      raise ValueError(f'config.evals.{alias}: {error}') from error
  return evaluations


_REBUILT = {
  'target': 'target frames',
  'video': 'hidden parts of clips',
  '': 'nothing',
}


def unfit_evals(
  entries: Mapping[str, Mapping[str, Any]], rebuilt: str
) -> dict[str, str]:
  """Evaluations of frames that a run does not rebuild: alias -> why.

  They are skipped, so one config can list evaluations for every kind of run.

  Args:
    entries: evaluation alias -> its config.
    rebuilt: what the run rebuilds: 'target', 'video' or ''.
  """
  unfit = {}
  for alias, entry in entries.items():
    wanted = EVALS.get(entry['name']).rebuilds
    if wanted and rebuilt not in wanted:
      unfit[alias] = (
        f'it measures rebuilt {" or ".join(_REBUILT[w] for w in wanted)}, but '
        f'this run rebuilds {_REBUILT[rebuilt]}'
      )
  return unfit


def spec(evaluation: Any) -> dict[str, Any]:
  """Everything that decides an evaluation's numbers, as plain data."""
  name = EVALS.name_of(type(evaluation))
  fields = dataclasses.asdict(evaluation)
  for side in evaluation.sides:
    for key in _HOW_TO_READ:
      (fields[side] or {}).pop(key, None)
  return {'name': name, **fields}


def _from_run(keys: Mapping[str, Any], data: Mapping[str, Any]) -> dict:
  """Plain keys of a data config, with those of the run filled in."""
  from rvmae_jax.data.pipeline import DEFAULTS

  found = {}
  for key, value in ConfigDict(keys).to_dict().items():
    if key == 'sources' and value != RUN:
      value = {k: _source(k, v, data) for k, v in value.items()}
    if value == RUN:
      value = data.get(key, DEFAULTS[key])
      if value is None:
        raise ValueError(f'The run has no data.{key}; give its value.')
    found[key] = value
  return ConfigDict(found).to_dict()


def _source(
  alias: str, source: Mapping[str, Any], data: Mapping[str, Any]
) -> Mapping[str, Any]:
  if source.get('name') != RUN:
    return source
  runs = data.get('sources') or {}
  if alias not in runs:
    raise ValueError(
      f'The run has no source {alias!r}; it has '
      f'{", ".join(map(repr, runs)) or "none"}. Choose one, usually by '
      '`source=` after the colon of --config, or give the name and settings '
      'of another source.'
    )
  return {**runs[alias], **source, 'name': runs[alias]['name']}
