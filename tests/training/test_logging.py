"""Logs: metrics file, speed, progress line, peak table."""

import errno
import json
import math
import pathlib
import sys
import time

import jax
import jax.numpy as jnp
import pytest
from etils import epath

from rvmae_jax.training import logging
from rvmae_jax.training.logging import MetricWriter, Progress
from rvmae_jax.visualize.curves import read_lines


def _steps(workdir):
  lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  return [json.loads(line)['step'] for line in lines]


def test_resumed_file_has_each_step_once(tmp_path):
  writer = MetricWriter(tmp_path, clu=())
  for step in (1, 2, 3, 4):
    writer.write(step, {'loss': jnp.float32(step)})
  writer.close()
  with (tmp_path / 'metrics.jsonl').open('a') as file:
    file.write('{"step": 5, "lo')  # Cut off by a kill.
  writer = MetricWriter(tmp_path, resumed_step=2, clu=())
  assert _steps(tmp_path) == [1, 2]
  writer.write(3, {'loss': 0.5})
  writer.close()
  assert _steps(tmp_path) == [1, 2, 3]


def test_what_is_not_finite_is_null_and_read_as_nan(tmp_path):
  writer = MetricWriter(tmp_path, clu=())
  writer.write(1, {'loss': jnp.nan, 'grad_norm': jnp.inf, 'lr': 0.5})
  writer.close()
  path = tmp_path / 'metrics.jsonl'
  line = '{"step": 1, "loss": null, "grad_norm": null, "lr": 0.5}\n'
  assert path.read_text() == line
  [scalars] = read_lines(path)
  assert math.isnan(scalars['loss']) and scalars['lr'] == 0.5


@pytest.mark.skipif(
  not pathlib.Path('/dev/full').exists(), reason='no device that is full'
)
def test_a_full_disk_is_told_with_the_remedy(tmp_path):
  writer = MetricWriter(tmp_path, clu=())
  writer.write(1, {'loss': 1.0})
  writer._file.close()
  writer._file = epath.Path('/dev/full').open('w')
  for write in (lambda: writer.write(2, {'loss': 1.0}), writer.close):
    with pytest.raises(OSError) as error:
      write()
    assert error.value.errno == errno.ENOSPC
    assert f'Writing to {tmp_path} has failed: No space' in str(error.value)
    assert 'the same command resumes' in str(error.value)
  assert _steps(tmp_path) == [1]


def test_tensorboard_gets_the_scalars(tmp_path):
  writer = MetricWriter(tmp_path)
  writer.write(7, {'loss': 0.25})
  writer.close()
  from tensorboard.backend.event_processing import event_accumulator

  events = event_accumulator.EventAccumulator(str(tmp_path))
  events.Reload()
  assert [tensor.step for tensor in events.Tensors('loss')] == [7]


def test_without_tensorflow_the_log_tells_the_remedy(
  tmp_path, monkeypatch, caplog
):
  monkeypatch.setitem(sys.modules, 'tensorflow', None)
  writer = MetricWriter(tmp_path, clu=('tensorboard', 'console'))
  assert "pip install 'rvmae_jax[tensorflow]'" in caplog.text
  writer.write(7, {'loss': 0.25})
  writer.close()
  assert _steps(tmp_path) == [7]


def test_speed_counts_steps_clips_and_waiting(monkeypatch):
  now = [100.0]
  monkeypatch.setattr(time, 'perf_counter', lambda: now[0])
  monkeypatch.setattr(logging, 'peak_flops_per_s', lambda kind: 1e3)
  progress = Progress(total_steps=1000, batch_size=32, flops_per_clip=100)
  progress.start(step=1, wait_s=5.0)
  now[0] += 4
  with progress.paused():
    now[0] += 6
  # 8 steps of 32 clips in 4 s, 1 s of it waiting; 64 clips/s x 100 FLOPs on
  # eight devices of 1,000 FLOP/s each.
  speed = progress.speed(step=9, wait_s=6.0)
  assert speed == pytest.approx({
    'steps_per_s': 2.0,
    'clips_per_s': 64.0,
    'data_wait_share': 0.25,
    'mfu': 0.8,
  })  # fmt: skip
  # 8 steps took 10 s in all, so the 991 that are left take 20 m 39 s.
  line = progress.line(9, {'loss': 0.5} | speed)
  assert line == (
    'step 9/1000 (0.9%) | loss 0.5000 | 2.00 steps/s | 64.0 clips/s | '
    '25% waiting for data | MFU 80.0% | 20m 39s left'
  )


@pytest.mark.parametrize(
  'kind, peak',
  [
    ('NVIDIA H100 80GB HBM3', 989e12),
    ('NVIDIA H100 PCIe', 756e12),
    ('NVIDIA A100-SXM4-80GB', 312e12),
    ('TPU v5 lite', 197e12),
    ('TPU v5', 459e12),
    ('TPU v6 lite', 918e12),
    ('cpu', None),
  ],
)
def test_peak_of_known_devices(kind, peak):
  assert logging.peak_flops_per_s(kind) == peak


def test_parameter_table_works_on_shapes():
  shapes = {'dense': {'kernel': jax.ShapeDtypeStruct((3, 5), jnp.float32)}}
  table = logging.parameter_table(shapes)
  assert 'dense/kernel' in table
  assert 'Total: 15' in table


@pytest.mark.parametrize('first_step', [1, 3])  # Resumed before and among them.
def test_profile_of_the_steps_asked_for(tmp_path, first_step):
  profiler = logging.Profiler(tmp_path, (2, 3), total_steps=4)
  for step in range(first_step, 5):
    profiler.before(step)
    assert profiler._running == (step in (2, 3))
    profiler.after(step, jnp.ones(3) + step)
  assert list(tmp_path.rglob('*.xplane.pb'))


@pytest.mark.parametrize('steps', [(3, 2), (0, 2), (4, 5), (6, 7)])
def test_a_profile_that_would_never_end_is_refused(tmp_path, steps):
  with pytest.raises(ValueError, match=r'profile=\(.*total_steps=4'):
    logging.Profiler(tmp_path, steps, total_steps=4)


def test_unknown_writers_are_answered(tmp_path):
  with pytest.raises(ValueError, match=r"clu=\('tensorbord',\) has"):
    MetricWriter(tmp_path, clu=('tensorbord',))


def test_only_the_first_process_writes(tmp_path, monkeypatch):
  monkeypatch.setattr(jax, 'process_index', lambda: 1)
  writer = MetricWriter(tmp_path / 'run', clu=())
  writer.write(1, {'loss': 1.0})
  writer.flush()
  writer.close()
  assert not (tmp_path / 'run').exists()
