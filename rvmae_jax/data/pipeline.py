"""From sources to batches.

    indices of records -> shuffle, repeat -> mix sources
    -> load (sample frames, decode, augment, mask: loader.py)
    -> share of this process -> batch (batching.py)

Only indices are shuffled, mixed and shared out, so every process knows the
whole order, and all randomness of a row comes from its place in that order:
the global batch is the same for any number of processes, threads and workers,
and an iterator's state is one number.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import grain
import numpy as np
from ml_collections import ConfigDict

from rvmae_jax.config_utils import token_size
from rvmae_jax.data.bad_videos import read_or_replace
from rvmae_jax.data.batching import Batches
from rvmae_jax.data.classes import check_labelled, check_same_classes
from rvmae_jax.data.loader import ClipLoader, make_loader
from rvmae_jax.data.sources import SOURCES
from rvmae_jax.registry import near_names

# Every key of `config.data`; None where a value has to be given.
DEFAULTS = {
  'sources': None,  # alias -> {name, weight, arguments of the source}
  'clip': None,  # {name, arguments of the sampler}
  'crop': None,  # {size, name, arguments of the crop}
  'augment': {},  # augmentation -> its arguments (training only)
  'augment_view2': {},  # the same for a second view; empty = like `augment`
  'mask': {},  # {name, arguments of the mask}, or empty
  'repeats': 1,  # clips of one video, decoded together (training only)
  'num_threads': 8,  # that decode, in each worker
  'num_workers': 0,  # processes; 0 decodes in threads of this one
  'prefetch': 2,  # batches held ready
  'max_bad_share': 0.05,  # of rows; read by the trainer's BadVideoGuard
  'max_videos': 0,  # of each source, evenly spread (evaluation only); 0 = all
}


def training_dataset(
  config: ConfigDict, batch_size: int | None = None, **others: Any
) -> Batches:
  """The dataset that a recipe trains on.

  Args:
    config: a recipe.
    batch_size: rows in a batch; None means the recipe's.
    **others: arguments of `make_dataset`.
  """
  return make_dataset(
    config.data,
    seed=config.seed,
    batch_size=config.batch_size if batch_size is None else batch_size,
    train=True,
    **token_size(config.model),
    **others,
  )


def make_dataset(
  data_config: Mapping[str, Any],
  *,
  seed: int,
  batch_size: int,
  train: bool,
  patch_size: int,
  tubelet_size: int = 1,
  process_index: int = 0,
  process_count: int = 1,
  num_classes: int = 0,
  sources: Sequence[Any] | None = None,
) -> Batches:
  """Batches of numpy arrays that obey `rvmae_jax.batch`.

  Training: endless; each source is shuffled anew every epoch and gives each
  record exactly once in it; sources are mixed by their weights. `iter()` of the
  result has `get_state` and `set_state`; a state is the number of the next
  record, good for any number of threads, workers and processes, and for any
  size of batches.

  Evaluation: one pass over the sources one after the other (or over
  `max_videos` of each, evenly spread), centre crops, the sampler's fixed clips
  and the same masks every time. A last batch is filled up with black rows that
  `valid` marks False, as it does those whose video was bad.

  Args:
    data_config: `config.data`; the keys are those of `DEFAULTS`.
    seed: of the order and of all that is drawn.
    batch_size: rows in a batch of this process.
    train: training or evaluation, as above.
    patch_size: of the model, for the grid of masks.
    tubelet_size: of the model: frames in a token.
    process_index: which of the processes this is.
    process_count: how many share the global batch; they get its rows in order.
    num_classes: of the head that learns the labels; 0 where none does.
    sources: `build_sources(data_config['sources'])`, where they are open.

  Returns:
    An iterable of dicts. `host/bad_videos` int32 [B] tells how many bad videos
    each row had to pass over; `host/source` and `host/record` int32 [B] which
    record of which source was read in the end, see `build_sources`.

  Raises:
    ValueError: settings that contradict each other, no labels where they are
      learned, or labels that the head has no place for, before any video is
      read.
  """
  config = check_config(data_config)
  loader = make_loader(config, patch_size, tubelet_size, train=train)
  # A clip and a mask that do not go together fail here, not in the first batch.
  loader.blank_rows(config['crop']['size'])
  if batch_size < 1 or batch_size % loader.repeats:
    raise ValueError(
      f'A batch of {batch_size} rows per process cannot be filled with '
      f'data.repeats={loader.repeats} clips of each video: use a multiple.'
    )
  num_records = batch_size // loader.repeats
  sources = sources or build_sources(config['sources'])
  if num_classes:
    named = {f'data.sources.{k}': s for k, s in zip(config['sources'], sources)}
    check_same_classes(
      {name: source.class_names for name, source in named.items()},
      num_classes=num_classes,
    )
    check_labelled(named)
  # Independent seeds: of the rows, and of each source's order.
  rows_seed, *order_seeds = map(
    int, np.random.SeedSequence(seed).generate_state(1 + len(sources))
  )
  at_most = 0 if train else config['max_videos']
  order = [_indices(n, len(s), at_most) for n, s in enumerate(sources)]
  if train:
    order = [o.shuffle(seed=s).repeat() for o, s in zip(order, order_seeds)]
    weights = [s.get('weight', 1.0) for s in config['sources'].values()]
    rows = grain.MapDataset.mix(order, weights)
  else:
    missing = -sum(map(len, order)) % (num_records * process_count)
    padding = grain.MapDataset.range(missing).map(lambda _: _PADDING)
    rows = grain.MapDataset.concatenate([*order, padding])
  load = _Load(sources, loader, config['crop']['size'])
  rows = rows.random_map(load, seed=rows_seed)
  return Batches(
    rows,
    num_records,
    num_threads=config['num_threads'],
    num_workers=config['num_workers'],
    prefetch=config['prefetch'],
    process_index=process_index,
    process_count=process_count,
  )


def batch_spec(
  data_config: Mapping[str, Any],
  batch_size: int,
  patch_size: int,
  tubelet_size: int = 1,
  *,
  train: bool = True,
) -> dict[str, Any]:
  """Shapes and dtypes of a batch, without its host keys, reading no video.

  Args:
    data_config: `config.data`.
    batch_size: rows in a batch.
    patch_size: of the model.
    tubelet_size: of the model.
    train: evaluation batches have `valid` besides.

  Returns:
    key -> jax.ShapeDtypeStruct.
  """
  import jax

  config = check_config(data_config)
  loader = make_loader(config, patch_size, tubelet_size, train=False)
  # A blank video yields rows of the right shapes and dtypes.
  rows = loader.blank_rows(config['crop']['size'])
  if not train:
    rows['valid'] = np.ones(1, bool)
  return {
    key: jax.ShapeDtypeStruct((batch_size, *value.shape[1:]), value.dtype)
    for key, value in rows.items()
  }


def check_config(data_config: Mapping[str, Any]) -> dict[str, Any]:
  """`config.data` with defaults filled in.

  Raises:
    ValueError: an unknown or a missing key, or a number out of range.
  """
  for key in data_config:
    if key not in DEFAULTS:
      raise ValueError(f'Unknown key data.{key}. {near_names(key, DEFAULTS)}')
  config = {**DEFAULTS, **dict(data_config)}
  for key in ('sources', 'clip', 'crop'):
    if not config[key]:
      raise ValueError(f'The config needs data.{key}; it is {config[key]!r}.')
  if len(config['crop'].get('size', ())) != 2:
    raise ValueError('data.crop.size must be (height, width) in pixels.')
  for key in ('num_threads', 'num_workers', 'prefetch', 'max_videos'):
    if config[key] < 0:
      raise ValueError(f'data.{key}={config[key]} must not be negative.')
  if not 0 <= config['max_bad_share'] <= 1:
    raise ValueError(
      f'data.max_bad_share={config["max_bad_share"]} must lie in [0, 1].'
    )
  return config


def build_sources(configs: Mapping[str, Mapping[str, Any]]) -> list[Any]:
  """The sources that `config.data.sources` describes, in its order.

  Raises:
    ValueError: a weight that is not positive, a source without videos, or one
      other than shards in a bucket.
  """
  sources = []
  for alias, config in configs.items():
    arguments = dict(config)
    weight = arguments.pop('weight', 1.0)
    if weight <= 0:
      raise ValueError(
        f'data.sources.{alias}.weight={weight} must be positive; leave the '
        'source out instead.'
      )
    for name, value in arguments.items():
      is_in_bucket = isinstance(value, str) and '://' in value
      if is_in_bucket and arguments.get('name') != 'shards':
        raise ValueError(
          f'data.sources.{alias}.{name}={value!r}: only shards (tools/prepare) '
          'can be read straight from a bucket. Mount it (gcsfuse, mount-s3) on '
          'every machine, and give the folder where it is mounted.'
        )
    sources.append(SOURCES.build(arguments))
    if not len(sources[-1]):
      raise ValueError(f'data.sources.{alias} holds no video: {arguments}.')
  return sources


def source_classes(
  configs: Mapping[str, Mapping[str, Any]],
) -> dict[str, list[str]]:
  """Names of classes by source, for `classes.check_same_classes`."""
  sources = zip(configs, build_sources(configs))
  return {f'data.sources.{k}': s.class_names for k, s in sources}


def _indices(number: int, length: int, at_most: int) -> grain.MapDataset:
  """(number of the source, index of the record); `at_most` 0 takes all."""
  # Evenly spread: sources are often sorted by class.
  count = min(length, at_most or length)
  return grain.MapDataset.range(count).map(
    lambda i: (number, i * length // count)
  )


# In place of (source, record): no video, to fill up a last batch.
_PADDING = (-1, -1)


class _Load:
  """(source, record) -> rows; a bad video gives the rows of another one."""

  def __init__(
    self, sources: list[Any], loader: ClipLoader, size: tuple[int, int]
  ):
    self.sources, self.loader, self.size = sources, loader, size

  def __call__(
    self, place: tuple[int, int], rng: np.random.Generator
  ) -> dict[str, np.ndarray]:
    if place == _PADDING:
      source = index = num_bad = 0
      rows = self.loader.blank_rows(self.size)
    else:
      source, index = place
      records = self.sources[source]
      rows, num_bad = read_or_replace(
        records, index, lambda record: self.loader(record, rng)
      )
      index = (index + num_bad) % len(records)
    num_rows = len(rows['label'])
    rows['host/bad_videos'] = np.full(num_rows, num_bad, np.int32)
    rows['host/source'] = np.full(num_rows, source, np.int32)
    rows['host/record'] = np.full(num_rows, index, np.int32)
    if not self.loader.random_clips:
      is_valid = num_bad == 0 and place != _PADDING
      rows['valid'] = np.full(num_rows, is_valid)
    return rows
