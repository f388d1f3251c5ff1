"""Trains Hugging Face's PyTorch network and ours, and compares the losses.

  python -m rvmae_jax.tools.train_hugging_face \\
    --config configs/compare_hugging_face.py:method=videomae \\
    --out torch_videomae.json [--config.total_steps=50]

Both start from the same weights and see the same clips and masks, in float32.
On PyTorch's side the network, loss, gradients, clipping and AdamW are
PyTorch's; the schedule is the published VideoMAE's, and so is what weight decay
leaves out (parameters of one dimension and learned tokens).

Needs `pip install torch transformers` and the extra [interop].
"""

import contextlib
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from absl import flags
from ml_collections import ConfigDict

from rvmae_jax import config_utils
from rvmae_jax.commands import run_command
from rvmae_jax.models import build_model
from rvmae_jax.parts import build_parts
from rvmae_jax.tools.batches import training_batches
from rvmae_jax.tools.hugging_face_network import build_network
from rvmae_jax.tools.result_file import write_result
from rvmae_jax.training.optimizer import scaled_lr

_METRICS = ('loss', 'grad_norm', 'lr')
# Rounding errors grow with every step; up to this one they are small.
_NUM_EQUAL = 50
_NUM_POINTS = 100
# Published code excludes them from weight decay by name.
_TOKENS = ('mask_token', 'cls_token')


class TorchTraining:
  """Hugging Face's network of a recipe, trained by PyTorch.

  Args:
    config: a recipe of VideoMAE or ImageMAE.
    params: of our network, to start from.

  Attributes:
    network: the `torch.nn.Module`.

  Raises:
    ModuleNotFoundError: PyTorch or Transformers is not installed.
    ValueError: they have no such network, or the recipe trains in a way that is
      not written here.
  """

  def __init__(self, config: ConfigDict, params: Mapping[str, Any]):
    _check(config)
    self.network = build_network(config, params)
    import torch

    self._torch, self._config = torch, config
    self._model = build_model(config.model)
    decayed, others = [], []
    for name, parameter in self.network.named_parameters():
      if parameter.requires_grad:
        is_matrix = parameter.ndim > 1 and not name.endswith(_TOKENS)
        (decayed if is_matrix else others).append(parameter)
    optimizer = config.optimizer
    self._optimizer = torch.optim.AdamW(
      [
        {'params': decayed, 'weight_decay': optimizer.weight_decay},
        {'params': others, 'weight_decay': 0.0},
      ],
      betas=(optimizer.b1, optimizer.b2),
    )
    self._num_updates = 0

  def step(self, batch: Mapping[str, np.ndarray]) -> dict[str, float]:
    """One update; loss and gradient are those before it.

    Args:
      batch: of the contract, with `video`, `ids_keep` and `ids_mask`.
    """
    torch = self._torch
    lr = self._lr()
    for group in self._optimizer.param_groups:
      group['lr'] = lr
    self._optimizer.zero_grad()
    loss = self.network(**self._inputs(batch)).loss
    loss.backward()
    grad_norm = torch.nn.utils.clip_grad_norm_(
      self.network.parameters(), self._config.optimizer.clip_norm or math.inf
    )
    self._optimizer.step()
    self._num_updates += 1
    return {'loss': loss.item(), 'grad_norm': float(grad_norm), 'lr': lr}

  def _lr(self) -> float:
    """As MAE's `lr_sched.py` and VideoMAE's `cosine_scheduler` have it."""
    config, step = self._config, self._num_updates
    peak = scaled_lr(config.optimizer.lr_per_256, config.batch_size)
    warmup = config.schedule.warmup_steps
    if step < warmup:
      return peak * step / warmup
    done = (step - warmup) / (config.total_steps - warmup)
    end = peak * config.schedule.get('end_factor', 0.0)
    return end + (peak - end) * 0.5 * (1 + math.cos(math.pi * done))

  def _inputs(self, batch: Mapping[str, np.ndarray]) -> dict[str, Any]:
    torch = self._torch
    mean, std = self._model.pixel_mean, self._model.pixel_std
    pixels = (batch['video'] / np.float32(255) - mean) / std
    # [B, T, H, W, 3] -> [B, T, 3, H, W]
    pixels = torch.tensor(np.moveaxis(pixels, -1, 2), dtype=torch.float32)
    num_tokens = batch['ids_keep'].shape[1] + batch['ids_mask'].shape[1]
    hidden = np.zeros((len(pixels), num_tokens), bool)
    np.put_along_axis(hidden, batch['ids_mask'], True, axis=1)
    if self._model.space_time == 'joint':
      return {'pixel_values': pixels, 'bool_masked_pos': torch.tensor(hidden)}
    # It keeps the places of the smallest noise.
    noise = hidden * num_tokens + np.arange(num_tokens)
    return {
      'pixel_values': pixels[:, 0],
      'noise': torch.tensor(noise, dtype=torch.float32),
    }


def _check(config: ConfigDict) -> None:
  expected = {
    'optimizer.name': 'adamw',
    'schedule.name': 'cosine',
    'accumulation_steps': 1,
    'ema_decay': 0.0,
    'model.dtype': 'float32',
  }
  for key, value in expected.items():
    found = functools.reduce(getattr, key.split('.'), config)
    if found != value:
      raise ValueError(
        f'config.{key}={found!r}: the training in PyTorch is written for '
        f'{value!r}; set --config.{key}={value}.'
      )


def train_both(config: ConfigDict) -> dict[str, np.ndarray]:
  """Trains both networks for `config.total_steps`, batch by batch in turns.

  Returns:
    `<metric>/ours` and `<metric>/theirs` for the loss, the gradient's norm and
    the learning rate of each step, [steps] float64.
  """
  parts = build_parts(config)
  state = jax.jit(parts.init)()
  theirs = TorchTraining(config, jax.device_get(state.params))
  step = jax.jit(parts.train_step, donate_argnums=0)
  curves = {f'{m}/{who}': [] for m in _METRICS for who in ('ours', 'theirs')}
  with contextlib.closing(training_batches(config)) as batches:
    for number, batch in zip(range(config.total_steps), batches):
      state, metrics = step(state, batch)
      found = theirs.step(batch)
      for metric in _METRICS:
        curves[f'{metric}/ours'].append(float(metrics[metric]))
        curves[f'{metric}/theirs'].append(found[metric])
      if number % 100 == 0:
        print(
          f'step {number}: loss {curves["loss/ours"][-1]:.6f}, '
          f'theirs {curves["loss/theirs"][-1]:.6f}',
          flush=True,
        )
  return {name: np.array(values) for name, values in curves.items()}


def relative_differences(
  curves: Mapping[str, np.ndarray], metric: str = 'loss'
) -> np.ndarray:
  """How far ours is from theirs, as share of theirs, at each step."""
  ours, theirs = curves[f'{metric}/ours'], curves[f'{metric}/theirs']
  return np.abs(ours - theirs) / np.maximum(np.abs(theirs), 1e-30)


def thinned(
  values: np.ndarray, num_points: int = _NUM_POINTS
) -> tuple[list[int], list[float]]:
  """Means over equal parts of a curve, and the last step of each part."""
  parts = np.array_split(np.arange(len(values)), min(num_points, len(values)))
  steps = [int(part[-1]) + 1 for part in parts]
  return steps, [float(values[part].mean()) for part in parts]


def summarize(curves: Mapping[str, np.ndarray], title: str) -> dict[str, Any]:
  """Columns, rows and a picture, as `result_file.write_result` takes them.

  Args:
    curves: from `train_both`.
    title: of the picture.
  """
  steps, ours = thinned(curves['loss/ours'])
  _, theirs = thinned(curves['loss/theirs'])
  differences = np.abs(np.divide(ours, theirs) - 1)
  first = {
    metric: relative_differences(curves, metric)[:_NUM_EQUAL].max()
    for metric in ('loss', 'grad_norm')
  }
  row = (
    len(curves['loss/ours']),
    f'{first["loss"]:.1e}',
    f'{first["grad_norm"]:.1e}',
    f'{differences.max():.1e}',
    *(f'{curve[-1]:.4g}' for curve in (ours, theirs)),
  )
  curve_panel = {
    'title': title,
    'x': 'step',
    'y': 'loss',
    'lines': [
      {'name': 'ours', 'x': steps, 'y': _rounded(ours)},
      {'name': 'PyTorch', 'x': steps, 'y': _rounded(theirs)},
    ],
  }
  difference_panel = {
    'title': 'how far they are apart',
    'x': 'step',
    'y': 'share of the loss',
    'lines': [{'name': 'difference', 'x': steps, 'y': _rounded(differences)}],
  }
  return {
    'columns': (
      'steps',
      f'loss, first {_NUM_EQUAL}',
      f'gradient, first {_NUM_EQUAL}',
      'curve, all',
      'last loss, ours',
      'last loss, PyTorch',
    ),
    'rows': [row],
    'picture': {'panels': [curve_panel, difference_panel]},
  }


def _rounded(values: Sequence[float]) -> list[float]:
  return [float(f'{value:.4g}') for value in values]


def main(args: flags.FlagValues) -> None:
  """Runs the command."""
  curves = train_both(args.config)
  import torch
  import transformers

  model = build_model(args.config.model)
  kind = 'VideoMAE' if model.space_time == 'joint' else 'ViTMAE'
  table = summarize(curves, f'{kind}, {args.config.batch_size} clips a step')
  print(*table['columns'], sep=' | ')
  print(*table['rows'][0], sep=' | ')
  write_result(
    args.out,
    notes=(
      f'Largest relative differences; the curve is of means over '
      f'{_NUM_POINTS} parts. PyTorch {torch.__version__}, Transformers '
      f'{transformers.__version__}.'
    ),
    **table,
  )


if __name__ == '__main__':
  config_utils.define_config_flag()
  flags.DEFINE_string('out', None, 'The JSON file to write.')
  flags.mark_flag_as_required('out')
  run_command(main)
