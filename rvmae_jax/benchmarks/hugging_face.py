"""Measures pre-training of VideoMAE beside Hugging Face's PyTorch model.

  XLA_PYTHON_CLIENT_PREALLOCATE=false \\
  python -m rvmae_jax.benchmarks hugging_face \\
    --config configs/videomae.py:variant=B --config.batch_size=64 \\
    [--compile] [--seconds 30]

Both take whole training steps on fake clips that lie on the device: forward,
backward, AdamW. Theirs runs with SDPA, under bfloat16 autocast where the config
says bfloat16, and with `--compile` once more under `torch.compile`. They take
turns on one machine, round after round, since machines drift. Needs
`pip install torch transformers`. The last line is the result as JSON.
"""

import time
from typing import Any

from absl import flags
from ml_collections import ConfigDict

from rvmae_jax.benchmarks.measurement import format_table, print_result
from rvmae_jax.benchmarks.step import COLUMNS, StepBenchmark, speed
from rvmae_jax.benchmarks.timing import seconds_of
from rvmae_jax.commands import run_command
from rvmae_jax.config_utils import define_config_flag, token_size
from rvmae_jax.tools.hugging_face_network import build_network

_NUM_ROUNDS = 5
_OURS = 'rvmae_jax'


class TorchBenchmark:
  """Hugging Face's `VideoMAEForPreTraining` of a recipe's size, and its times.

  Args:
    config: a recipe of VideoMAE.
    compiled: whether `torch.compile` is applied.

  Attributes:
    step_s: seconds of a step, one figure a round.
    compile_s: seconds that the first step took.

  Raises:
    ModuleNotFoundError: PyTorch or Transformers is not installed.
  """

  def __init__(self, config: ConfigDict, compiled: bool):
    network = build_network(config)  # Before torch: it says what is missing.
    import torch

    self._torch = torch
    self._config = config
    self._device = 'cuda' if torch.cuda.is_available() else 'cpu'
    held_before = self._held_bytes()
    batch_size = config.batch_size
    num_frames = config.data.clip.num_frames
    size = tuple(config.data.crop.size)
    self._network = network.to(self._device)
    self._optimizer = torch.optim.AdamW(
      self._network.parameters(), lr=1e-4, fused=self._device == 'cuda'
    )
    self._pixels = torch.rand(
      batch_size, num_frames, 3, *size, device=self._device
    )
    # The same tubes for all clips: their mask has to hide equally many.
    token = token_size(config.model)
    h, w = (side // token['patch_size'] for side in size)
    hidden = torch.zeros(h * w, dtype=torch.bool)
    hidden[torch.randperm(h * w)[: int(config.data.mask.ratio * h * w)]] = True
    hidden = hidden.repeat(num_frames // token['tubelet_size'])
    self._hidden = hidden.expand(batch_size, -1).to(self._device)
    self._forward = torch.compile(self._network) if compiled else self._network
    start = time.perf_counter()
    self._step()
    self.compile_s = time.perf_counter() - start
    self.step_s: list[float] = []
    self._held = self._held_bytes() - held_before
    self._peak = 0

  def run_round(self, seconds: float) -> None:
    """Runs steps for about `seconds` after one that is not counted."""
    held_by_others = self._held_bytes() - self._held
    if self._device == 'cuda':
      self._torch.cuda.reset_peak_memory_stats()
    self.step_s.append(seconds_of(self._step, seconds))
    if self._device == 'cuda':
      peak = self._torch.cuda.max_memory_allocated() - held_by_others
      self._peak = max(self._peak, peak)

  def result(self) -> dict[str, Any]:
    """Figures as `StepBenchmark.result` names them, but for MFU."""
    return {
      **speed(self.step_s, self._config.batch_size),
      'compile_s': self.compile_s,
      'gib': self._peak / 2**30 if self._device == 'cuda' else None,
    }

  def _step(self) -> None:
    torch = self._torch
    with torch.autocast(
      self._device, torch.bfloat16, self._config.model.dtype == 'bfloat16'
    ):
      loss = self._forward(self._pixels, bool_masked_pos=self._hidden).loss
    loss.backward()
    self._optimizer.step()
    self._optimizer.zero_grad(set_to_none=True)
    if self._device == 'cuda':
      torch.cuda.synchronize()

  def _held_bytes(self) -> int:
    """Of arrays on the GPU, those of other networks included."""
    if self._device == 'cpu':
      return 0
    return self._torch.cuda.memory_allocated()


def benchmark_hugging_face(
  config: ConfigDict, seconds: float, compiled: bool
) -> dict[str, dict[str, Any]]:
  """Measures a recipe and Hugging Face's model of its size in turn.

  Args:
    config: a recipe of VideoMAE.
    seconds: of measuring for each.
    compiled: whether theirs is measured compiled as well.

  Returns:
    Name -> figures; `speed_ratio` is against Hugging Face's, not compiled, and
    `mfu` by our count of FLOPs for all.
  """
  benchmarks = {
    'hugging face': TorchBenchmark(config, compiled=False),
    _OURS: StepBenchmark(config),
  }
  if compiled:
    benchmarks['hugging face, compiled'] = TorchBenchmark(config, compiled=True)
  for _ in range(_NUM_ROUNDS):
    for benchmark in benchmarks.values():
      benchmark.run_round(seconds / _NUM_ROUNDS)
  results = {name: b.result() for name, b in benchmarks.items()}
  theirs, ours = results['hugging face'], results[_OURS]
  mfu_of_clips = ours['mfu'] / ours['clips_per_s']
  for result in results.values():
    clips_per_s = result['clips_per_s']
    result['speed_ratio'] = clips_per_s / theirs['clips_per_s']
    result['mfu'] = clips_per_s * mfu_of_clips
  return results


def main(args: flags.FlagValues) -> None:
  """Runs the command."""
  results = benchmark_hugging_face(args.config, args.seconds, args.compile)
  print(format_table(results, COLUMNS))
  print_result(results)


if __name__ == '__main__':
  define_config_flag()
  flags.DEFINE_bool(
    'compile', False, 'Also measure theirs under torch.compile.'
  )
  flags.DEFINE_float('seconds', 30, 'Seconds to measure each for.')
  run_command(main)
