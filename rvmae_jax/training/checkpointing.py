"""Checkpoints of a run (Orbax): state, data position and config together.

workdir/checkpoints/<step>/state    parameters, optimizer, counts
                           data     where the data stood, for all processes
                           config   what made it
"""

import contextlib
import importlib
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from etils import epath
from ml_collections import ConfigDict

from rvmae_jax import config_utils, files
from rvmae_jax.registry import some_names
from rvmae_jax.training.state import TrainState

# Reads a weights file that is not one of our runs: path -> (params, config).
LoadFile = Callable[[str], tuple[dict, ConfigDict]]


class SaveError(OSError):
  """A checkpoint could not be written; those before it are as they were."""


class Checkpointer:
  """Saves and restores a run; a context manager that waits for the last save.

  Args:
    workdir: of the run.
    config: of the run; kept in each checkpoint. Its `checkpoint` says when one
      is due (`every_steps`, 0 = only at the end), how many of the newest stay
      (`keep_last`), and at which multiples they stay for good (`keep_every`, 0
      = none).

  Raises:
    ModuleNotFoundError: a bucket (gs://) needs a package that is not here.
    ValueError: no checkpoint would stay.
  """

  def __init__(self, workdir: epath.PathLike, config: ConfigDict):
    if config.checkpoint.keep_last < 1:
      raise ValueError(
        f'config.checkpoint.keep_last={config.checkpoint.keep_last} would '
        'delete every checkpoint; it must be at least 1.'
      )
    self._config = config
    self._is_saving = False
    self._directory = _absolute(workdir) / 'checkpoints'
    if str(self._directory).startswith('gs://'):
      _check_storage_client(workdir)
    self._manager = ocp.CheckpointManager(
      self._directory,
      options=ocp.CheckpointManagerOptions(
        max_to_keep=config.checkpoint.keep_last,
        keep_period=config.checkpoint.keep_every or None,
        # What a kill has left half-written.
        cleanup_tmp_directories=True,
      ),
    )

  def __enter__(self) -> 'Checkpointer':
    return self

  def __exit__(self, *unused):
    with self._explained():
      self._manager.close()

  def latest_step(self) -> int | None:
    """The step of the newest checkpoint, None if there is none.

    One that is still being written counts.
    """
    return self._manager.latest_step()

  def last_complete_step(self) -> int | None:
    """The step of the newest checkpoint that is complete in storage.

    None if there is none, or if the folder cannot be read.
    """
    try:
      return max(ocp.utils.checkpoint_steps(self._directory), default=None)
    except OSError:
      return None

  def saved_config(self) -> ConfigDict:
    """The config in the newest checkpoint, of which there has to be one."""
    return _read_config(self._directory / str(self.latest_step()))

  def is_due(self, step: int) -> bool:
    """Whether a checkpoint belongs after this step."""
    every_steps = self._config.checkpoint.every_steps
    return bool(every_steps) and step % every_steps == 0

  def save(self, step: int, state: TrainState, position: Any) -> None:
    """Saves in the background; once more at the same step does nothing.

    Args:
      step: batches consumed, `state.step`.
      state: may be donated as soon as this returns.
      position: the data iterator's state after the last batch consumed; plain
        data, the same on every process.

    Raises:
      SaveError: this save, or one before it, has failed.
    """
    if step == self.latest_step():
      return
    self._is_saving = True
    with self._explained():
      self._manager.save(
        step,
        args=ocp.args.Composite(
          state=ocp.args.StandardSave(state),
          data=ocp.args.JsonSave(position),
          config=ocp.args.JsonSave(
            json.loads(config_utils.to_json(self._config))
          ),
        ),
      )

  def check(self) -> None:
    """Checks whether a save has failed in the background; does not wait.

    Raises:
      SaveError: one has.
    """
    # Orbax keeps an error for whoever waits.
    if self._is_saving and not self._manager.is_saving_in_progress():
      self._is_saving = False
      self.wait()

  def wait(self) -> None:
    """Returns once the last save is complete in storage.

    Raises:
      SaveError: it has failed.
    """
    with self._explained():
      self._manager.wait_until_finished()

  @contextlib.contextmanager
  def _explained(self) -> Iterator[None]:
    """Adds to an error of a save which checkpoints are safe, and what to do.

    Storage has many classes of errors: TensorStore reports a full disk as a
    ValueError.
    """
    try:
      yield
    except Exception as error:
      step = self.last_complete_step()
      kept = 'There is no complete checkpoint'
      if step is not None:
        kept = f'The last complete checkpoint is that of step {step}'
      raise SaveError(
        f'Saving to {self._directory} has failed. {kept}. Make space, or make '
        'the folder writable again; the same command then resumes there. '
        f'The reason: {_reason(error)}'
      ) from error

  def restore(self, shapes: TrainState) -> tuple[TrainState, Any]:
    """The newest checkpoint, placed on the devices.

    Args:
      shapes: `jax.ShapeDtypeStruct`s with the shardings to restore to.

    Returns:
      The state and the data position; the number of processes may change.

    Raises:
      ValueError: arrays are missing, left over or shaped differently, or a file
        is damaged.
    """
    step = self.latest_step()
    directory = self._directory / str(step)
    saved = _read_config(directory)
    saved_arrays = _saved_arrays(directory)
    changes = config_changes(saved, self._config)
    for change in changes:
      logging.warning('Config differs from that of step %d: %s', step, change)
    use = f'Use the config that made it ({"; ".join(changes)})'
    if not changes:
      use = (
        'Its config is the same, so another version of the code made it: use '
        'that one'
      )
    check_same_arrays(
      saved_arrays,
      shapes,
      f'checkpoint {directory}',
      remedy=f'{use}, or another --workdir.',
    )
    # Orbax also compares nodes without arrays, such as empty optimizer states,
    # so the tree to restore is the file's own, with our shapes and shardings.
    wanted = _with_leaves_of(shapes, saved_arrays)
    args = ocp.args.Composite(
      state=ocp.args.StandardRestore(wanted), data=ocp.args.JsonRestore()
    )
    with _reading(directory):
      restored = self._manager.restore(step, args=args)
    batch_size = self._config.get('batch_size')
    if saved.get('batch_size') != batch_size:
      logging.warning(
        'config.batch_size: %d -> %d. Data continue at record %d: none is left '
        'out or read twice. total_steps, schedules and all that is due every '
        'few steps count steps of the new size, from step %d on.',
        *(saved.batch_size, batch_size, restored.data['next_record'], step),
      )
    return _with_leaves_of(restored.state, shapes), restored.data


def load_params(
  path: epath.PathLike,
  ema: bool = False,
  *,
  load_file: LoadFile | None = None,
) -> tuple[dict, ConfigDict]:
  """Parameters from a run, one of its checkpoints, or a weights file.

  Args:
    path: a run's workdir (its newest checkpoint), a checkpoint directory, or a
      file for `load_file`.
    ema: the running mean of the parameters instead of the parameters.
    load_file: reads weights that are not a run's, such as a released `.npz`;
      path -> (params, config).

  Returns:
    Nested dict of numpy arrays, and the config that made them.

  Raises:
    FileNotFoundError: there is no checkpoint at `path`.
    ValueError: the run kept no running mean, or nothing reads the file.
  """
  path = _absolute(path)
  if path.is_file():
    if load_file is None:
      raise ValueError(f'{path} is a file; a run or a checkpoint is needed.')
    return load_file(str(path))
  directory = find_checkpoint(path)
  key = 'ema_params' if ema else 'params'
  saved = _saved_arrays(directory)
  if saved[key] is None:
    raise ValueError(
      f'{directory} has no running mean of the parameters (the run had '
      'config.ema_decay=0); ask for the parameters themselves.'
    )
  wanted = {key: saved[key]}
  as_numpy = jax.tree.map(
    lambda _: ocp.RestoreArgs(restore_type=np.ndarray), wanted
  )
  with _reading(directory):
    restored = ocp.PyTreeCheckpointHandler().restore(
      directory / 'state',
      args=ocp.args.PyTreeRestore(wanted, as_numpy, partial_restore=True),
    )
  return restored[key], _read_config(directory)


def is_run(path: epath.PathLike) -> bool:
  """Whether a path is a run's workdir or one of its checkpoints."""
  path = _absolute(path)
  return any((path / name).is_dir() for name in ('state', 'checkpoints'))


def find_checkpoint(path: epath.PathLike) -> epath.Path:
  """The checkpoint directory that a workdir or a checkpoint path means.

  Raises:
    FileNotFoundError: there is none.
  """
  path = _absolute(path)
  if (path / 'state').is_dir():
    return path
  # Complete ones only: in a bucket, a save under way has its number already.
  steps = ocp.utils.checkpoint_steps(path / 'checkpoints')
  if not steps:
    raise FileNotFoundError(
      f'No checkpoint at {path}: neither a checkpoint directory (with state/) '
      "nor a run's workdir (with checkpoints/<step>/)."
    )
  return path / 'checkpoints' / str(max(steps))


def step_of(path: epath.PathLike) -> int | None:
  """The step of a run's newest checkpoint, or of a checkpoint; else None."""
  name = find_checkpoint(path).name if is_run(path) else ''
  return int(name) if name.isdecimal() else None


def config_changes(old: ConfigDict, new: ConfigDict) -> list[str]:
  """One line `key: old -> new` for each value in which two configs differ."""
  old, new = (config_utils.by_path(c.to_dict()) for c in (old, new))
  absent = '(absent)'
  return [
    f'{key}: {old.get(key, absent)!r} -> {new.get(key, absent)!r}'
    for key in sorted(old.keys() | new.keys())
    if old.get(key, absent) != new.get(key, absent)
  ]


def check_same_arrays(
  found: Any, wanted: Any, origin: str, *, remedy: str
) -> None:
  """Checks that two trees have the same names and shapes.

  Args:
    found: the tree that is there.
    wanted: the tree that is needed.
    origin: where `found` comes from.
    remedy: what to do about it, for the message.

  Raises:
    ValueError: names the arrays that are missing, left over or of another
      shape.
  """
  found, wanted = _shapes_by_name(found), _shapes_by_name(wanted)
  problems = [f'no {name}' for name in wanted if name not in found]
  problems += [f'unknown {name}' for name in found if name not in wanted]
  problems += [
    f'{name} is {found[name]}, not {shape}'
    for name, shape in wanted.items()
    if found.get(name, shape) != shape
  ]
  if problems:
    shown = some_names(problems, between='; ')
    raise ValueError(f'The model does not fit {origin}: {shown}. {remedy}')


@contextlib.contextmanager
def _reading(directory: epath.Path) -> Iterator[None]:
  """Turns errors of reading a checkpoint into one that says what to do.

  `files.naming` would not do: it keeps errors that name the file, and those of
  TensorStore do so, amid pages of other text.
  """
  try:
    yield
  except (ImportError, FileNotFoundError, PermissionError):
    raise
  except Exception as error:
    raise ValueError(
      f'{directory} cannot be read: {_reason(error)}. If the storage is sound, '
      'it is not a checkpoint of a run, or is damaged: copy it again, or '
      'delete it, and the run resumes from the checkpoint before it.'
    ) from error


def _reason(error: Exception) -> str:
  """What an error says, without the pages that TensorStore adds."""
  pages = r' \[(source locations|tensorstore_spec)|\. See full|\n'
  return f'{type(error).__name__}: {re.split(pages, str(error))[0]}'


def _shapes_by_name(tree: Any) -> dict[str, tuple[int, ...]]:
  return {name: tuple(leaf.shape) for name, leaf in _by_name(tree).items()}


def _with_leaves_of(source: Any, tree: Any) -> Any:
  """`tree` with the leaves that have the same names in `source`."""
  leaves = _by_name(source)
  return jax.tree_util.tree_map_with_path(
    lambda path, _: leaves[_name(path)], tree
  )


def _by_name(tree: Any) -> dict[str, Any]:
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  return {_name(path): leaf for path, leaf in leaves}


def _name(path: tuple) -> str:
  return jax.tree_util.keystr(path, simple=True, separator='/')


def _absolute(path: epath.PathLike) -> epath.Path:
  """Orbax takes no relative path; a bucket's (`gs://..`) is absolute."""
  path = epath.Path(path)
  return path if '://' in str(path) else path.absolute()


def _check_storage_client(path: epath.PathLike) -> None:
  """Checks for the package that Orbax asks what kind of bucket it writes to."""
  try:
    importlib.import_module('google.cloud.storage')
  except ImportError as error:
    raise ModuleNotFoundError(
      f'Checkpoints in {path} need google-cloud-storage; install it, or this '
      'package with its extra [gcs].'
    ) from error


def _saved_arrays(directory: epath.Path) -> Any:
  """The tree of a checkpoint with shapes and dtypes for leaves."""
  with _reading(directory):
    return ocp.PyTreeCheckpointHandler().metadata(directory / 'state').tree


def _read_config(directory: epath.Path) -> ConfigDict:
  path = directory / 'config' / 'metadata'
  with files.naming(path, 'is not a config of a run, or is damaged'):
    return config_utils.from_json(path.read_text())
