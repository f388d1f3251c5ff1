"""What a run logs: metrics, progress, speed, parameter table, profile."""

import contextlib
import json
import math
import os
import pathlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
from absl import logging
from clu import parameter_overview
from etils import epath

from rvmae_jax.training import devices
from rvmae_jax.training.distributed import sum_over_processes

# Each flush to a bucket uploads the whole file, and a bucket takes about one
# upload of a file a second.
_BUCKET_FLUSH_S = 60


def show_own_lines() -> None:
  """Shows what this package logs; of libraries only warnings and errors."""
  logging.set_verbosity(logging.INFO)
  package = str(pathlib.Path(__file__).parents[1])

  def is_shown(record):
    is_own = record.pathname.startswith(package) or '/clu/' in record.pathname
    return is_own or record.levelno > logging.converter.STANDARD_INFO

  logging.get_absl_handler().addFilter(is_shown)


def peak_flops_per_s(device_kind: str) -> float | None:
  """Peak bf16 FLOP/s of one device, None where it is not known."""
  device = devices.of_kind(device_kind)
  return device.flops_per_s if device else None


def parameter_table(params: Any) -> str:
  """Names, shapes and sizes of all parameters, and their sum.

  Args:
    params: nested dict of arrays or `jax.ShapeDtypeStruct`s.
  """
  return parameter_overview.get_parameter_overview(params, include_stats=False)


class MetricWriter:
  """Writes scalars to the console, TensorBoard and `metrics.jsonl`.

  Only process 0 writes. Each write is one line of JSON, `{"step": ..,
  name: value, ..}`, with null for what is not finite; evaluations have one of
  their own. A run that goes on from a checkpoint drops the lines past it, so
  that the file has nothing twice. In a bucket (gs://) lines appear about once a
  minute; `flush` before a checkpoint, and it has all before it.

  Args:
    workdir: where the files go.
    resumed_step: the step that the run starts from.
    clu: which of clu's writers to add: 'tensorboard' (event files) and
      'console' (every scalar as a log line; `Progress.line` tells the most
      important ones anyway). They need TensorFlow, an extra: a few seconds and
      400 MB. Without it a warning is all that they write.
  """

  def __init__(
    self,
    workdir: epath.PathLike,
    *,
    resumed_step: int = 0,
    clu: Sequence[str] = ('tensorboard',),
  ):
    self._writers = []
    self._file = None
    self._resumed_names: set[str] = set()
    self._workdir = workdir = epath.Path(workdir)
    if jax.process_index():
      return
    workdir.mkdir(parents=True, exist_ok=True)
    path = workdir / 'metrics.jsonl'
    for line in drop_lines_after(path, resumed_step):
      if line['step'] == resumed_step:
        self._resumed_names |= line.keys()
    self._file = path.open('a')
    self._flush_every_s = _BUCKET_FLUSH_S if '://' in str(workdir) else 0
    self._flushed = time.monotonic()
    if clu:
      self._writers = _clu_writers(clu, workdir)

  def write(self, step: int, scalars: Mapping[str, Any]) -> None:
    """Writes scalars of one step, if there are any."""
    if not (self._file and scalars):
      return
    scalars = {name: float(value) for name, value in scalars.items()}
    with storage_errors(self._workdir):
      # JSON has no NaN and no infinity.
      numbers = {k: v if math.isfinite(v) else None for k, v in scalars.items()}
      self._file.write(json.dumps({'step': step, **numbers}) + '\n')
      for writer in self._writers:
        writer.write_scalars(step, scalars)
    if time.monotonic() - self._flushed >= self._flush_every_s:
      self.flush()

  def without_line(self, aliases: Sequence[str]) -> list[str]:
    """The evaluations without numbers in the lines of the step resumed from.

    Args:
      aliases: the same on every process; so is what is returned.
    """
    if not aliases:
      return []
    found = {name.partition('/')[0] for name in self._resumed_names}
    # Only process 0 has read the file.
    found = sum_over_processes({a: float(a in found) for a in aliases})
    return [alias for alias in aliases if not found[alias]]

  def flush(self) -> None:
    """Makes the lines written so far outlast this process."""
    if self._file:
      with storage_errors(self._workdir):
        self._file.flush()
      self._flushed = time.monotonic()

  def close(self) -> None:
    with storage_errors(self._workdir):
      for writer in self._writers:
        writer.close()
      if self._file:
        self._file.close()


@contextlib.contextmanager
def storage_errors(workdir: epath.PathLike) -> Iterator[None]:
  """Adds a remedy to errors of writing to a run's workdir.

  Raises:
    OSError: of whatever was written; names the workdir and the remedy.
  """
  try:
    yield
  except OSError as error:
    raise OSError(
      error.errno,
      f'Writing to {workdir} has failed: {error.strerror or error}. Complete '
      'checkpoints stay as they are. Make space, or make the folder writable '
      'again; then the same command resumes from the last of them.',
    ) from error


def drop_lines_after(path: epath.Path, step: int) -> list[dict[str, Any]]:
  """Removes lines past `step`, and a last one that was cut off.

  Returns:
    What the others say.
  """
  if not path.exists():
    return []
  lines = path.read_text().splitlines(keepends=True)
  kept = [
    line
    for line in lines
    if line.endswith('\n') and json.loads(line)['step'] <= step
  ]
  if kept != lines:
    # Replaced in one move: a kill in between must not lose the file.
    new = path.with_suffix('.jsonl.new')
    new.write_text(''.join(kept))
    new.replace(path)
  return [json.loads(line) for line in kept]


def _clu_writers(names: Sequence[str], workdir: epath.Path) -> list[Any]:
  known = ('tensorboard', 'console')
  if unknown := set(names) - set(known):
    raise ValueError(
      f'config.log.clu={tuple(names)} has {sorted(unknown)}; it may have '
      f'{" and ".join(map(repr, known))}.'
    )
  # Imported here: both load TensorFlow, which must keep off the accelerators.
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
  # With oneDNN, TensorFlow logs a notice.
  os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')
  try:
    import tensorflow as tf
    from clu import metric_writers
  except ImportError as error:
    logging.warning(
      'No files for TensorBoard, which need TensorFlow (%s): pip install '
      "'rvmae_jax[tensorflow]', or set config.log.clu=(). All numbers are in "
      'metrics.jsonl.',
      error,
    )
    return []
  for kind in ('GPU', 'TPU'):
    tf.config.set_visible_devices([], kind)
  writers = {
    'console': metric_writers.LoggingWriter,
    'tensorboard': lambda: metric_writers.SummaryWriter(str(workdir)),
  }
  return [writers[name]() for name in names]


class Progress:
  """Measures speed and tells how far the run is.

  Args:
    total_steps: of the run.
    batch_size: clips in a step, over all devices.
    flops_per_clip: of a training step, for MFU; None leaves it out.
  """

  def __init__(
    self,
    total_steps: int,
    batch_size: int,
    flops_per_clip: float | None = None,
  ):
    self._total_steps = total_steps
    self._batch_size = batch_size
    self._flops_per_clip = flops_per_clip
    peak = peak_flops_per_s(jax.devices()[0].device_kind)
    self._peak = peak and peak * jax.device_count()
    self._paused_s = 0.0
    self._began = None

  def start(self, step: int, wait_s: float) -> None:
    """Starts the clock, once the first step has compiled.

    Args:
      step: steps done.
      wait_s: seconds spent waiting for data so far.
    """
    self._began = self._last = (step, time.perf_counter(), wait_s)
    self._paused_s = 0.0

  @contextlib.contextmanager
  def paused(self) -> Iterator[None]:
    """Keeps evaluations and pictures out of the measured speed."""
    start = time.perf_counter()
    yield
    self._paused_s += time.perf_counter() - start

  def speed(self, step: int, wait_s: float) -> dict[str, float]:
    """Speed since the last call (or `start`), by metric name.

    Args:
      step: steps done.
      wait_s: seconds spent waiting for data so far.
    """
    last_step, last_time, last_wait_s = self._last
    now = time.perf_counter()
    seconds = now - last_time - self._paused_s
    self._last, self._paused_s = (step, now, wait_s), 0.0
    if step == last_step:
      return {}
    steps_per_s = (step - last_step) / seconds
    clips_per_s = steps_per_s * self._batch_size
    speed = {
      'steps_per_s': steps_per_s,
      'clips_per_s': clips_per_s,
      'data_wait_share': (wait_s - last_wait_s) / seconds,
    }
    if self._flops_per_clip and self._peak:
      speed['mfu'] = self._flops_per_clip * clips_per_s / self._peak
    return speed

  def line(self, step: int, metrics: Mapping[str, float]) -> str:
    """One readable line: step, share, loss, speed, time left."""
    parts = [
      f'step {step}/{self._total_steps} ({step / self._total_steps:.1%})'
    ]
    for name, form in _LINE:
      if name in metrics:
        parts.append(form.format(metrics[name]))
    first_step, began, _ = self._began
    if step > first_step:
      # All time counts here, evaluations and saving too.
      per_step_s = (time.perf_counter() - began) / (step - first_step)
      parts.append(f'{_duration((self._total_steps - step) * per_step_s)} left')
    return ' | '.join(parts)


_LINE = (
  ('loss', 'loss {:.4f}'),
  ('psnr_hidden', 'PSNR {:.2f} dB'),
  ('steps_per_s', '{:.2f} steps/s'),
  ('clips_per_s', '{:.1f} clips/s'),
  ('data_wait_share', '{:.0%} waiting for data'),
  ('mfu', 'MFU {:.1%}'),
)


def _duration(seconds: float) -> str:
  minutes, seconds = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  days, hours = divmod(hours, 24)
  if days:
    return f'{days}d {hours:02d}h'
  if hours:
    return f'{hours}h {minutes:02d}m'
  return f'{minutes}m {seconds:02d}s'


class Profiler:
  """Records steps `first` to `last` with the JAX profiler.

  A run that is resumed among them records the rest.

  Args:
    directory: where the trace goes; TensorBoard and Perfetto read it.
    steps: (first, last), both included and counted from 1; (0, 0) = off.
    total_steps: of the run.

  Raises:
    ValueError: the steps are none of the run.
  """

  def __init__(
    self, directory: epath.PathLike, steps: tuple[int, int], total_steps: int
  ):
    self._directory = str(directory)
    self._first, self._last = steps
    self._running = False
    if any(steps) and not 0 < self._first <= self._last <= total_steps:
      raise ValueError(
        f'config.log.profile={tuple(steps)} must be two steps from 1 to '
        f'config.total_steps={total_steps}, the later one last, or (0, 0) for '
        'no profile.'
      )

  def before(self, step: int) -> None:
    """Call before each step."""
    if self._first <= step <= self._last and not self._running:
      jax.profiler.start_trace(self._directory)
      self._running = True

  def after(self, step: int, outputs: Any) -> None:
    """Call after each step; waits for `outputs` before the trace ends."""
    if self._running and step == self._last:
      jax.block_until_ready(outputs)
      jax.profiler.stop_trace()
      self._running = False
      span = f'{self._first}..{self._last}'
      logging.info('Profile of steps %s: %s', span, self._directory)
