"""Cost: parameters, FLOPs, memory, latency and throughput of features."""

import dataclasses
import itertools
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from absl import logging
from ml_collections import ConfigDict

from rvmae_jax import config_utils
from rvmae_jax.evals import Evaluation, Result
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.videos import Videos
from rvmae_jax.memory import planned_bytes

_NUM_ROUNDS = 3  # Machines drift, so that networks take turns.
_LEAST_RUNS = 3  # In a round.


@dataclasses.dataclass(frozen=True, kw_only=True)
class CostEval(Evaluation):
  """What features cost on this device, beside those of other networks.

  Numbers of clips are those of `encode`, by batch size and length; those of
  frames are of `step`, which goes on from a state instead of reading a clip
  anew, where a network has one.

  Attributes:
    videos: for the size of frames; nothing is read.
    batch_sizes: clips, or streams, at once.
    lengths: frames of a clip; a network leaves out what it cannot take.
    seconds: to measure each case for.
    beside: name -> another network, with random weights: `recipe`, a config
      as for training ('configs/videomae.py:variant=B'), and `model`, changes to
      its model; or `model` alone, all of it.
  """

  is_of_device = True
  reads = ('crop',)

  videos: Videos
  batch_sizes: Sequence[int] = (1, 8)
  lengths: Sequence[int] = (4, 16)
  seconds: float = 1.0
  beside: Mapping[str, Mapping[str, Any]] = dataclasses.field(
    default_factory=dict
  )

  def run(self, functions: ModelFunctions) -> Result:
    """Numbers by network, which is `this` or a name in `beside`.

    `<network>/parameters`, those that features need. Of a case, such as
    `<network>/encode/batch_8/frames_16` or `<network>/step/batch_8`: `p50_ms`
    and `p95_ms`, `per_s` (clips or frames), `gflop` (of one clip or frame, by
    our count) and `mib` (that XLA plans for, parameters included).
    """
    height, width = self.videos.size
    clip = np.zeros((1, max(self.lengths), height, width, 3), np.uint8)
    networks = {'this': functions}
    for name, entry in self.beside.items():
      networks[name] = functions.fresh(other_model(entry), clip)
    metrics, cases = {}, {}
    for name, network in networks.items():
      metrics[f'{name}/parameters'] = network.num_parameters(clip)
      cases |= self._cases(name, network, height, width)
    for _ in range(_NUM_ROUNDS):
      for case in cases.values():
        case.run_round(self.seconds / _NUM_ROUNDS)
    for name, case in cases.items():
      metrics |= {f'{name}/{key}': v for key, v in case.result().items()}
    return Result(metrics, {})

  def _cases(
    self, name: str, network: ModelFunctions, height: int, width: int
  ) -> dict[str, 'Case']:
    cases = {}
    for batch_size, length in itertools.product(self.batch_sizes, self.lengths):
      video = np.zeros((batch_size, length, height, width, 3), np.uint8)
      case = f'{name}/encode/batch_{batch_size}/frames_{length}'
      try:
        compiled = network.compile('encode', video)
      except ValueError as error:
        logging.info('%s left out: %s', case, error)
        continue
      flops = network.encode_flops(video.shape)
      cases[case] = Case(compiled, batch_size, flops)
    if network.is_recurrent:
      for batch_size in self.batch_sizes:
        state = network.init_state(batch_size, height, width)
        frame = np.zeros((batch_size, height, width, 3), np.uint8)
        cases[f'{name}/step/batch_{batch_size}'] = Case(
          network.compile('step', state, frame),
          batch_size,
          network.encode_flops((1, 1, *frame.shape[1:])),
        )
    return cases


def other_model(entry: Mapping[str, Any]) -> ConfigDict:
  """The `config.model` that an entry of `beside` describes."""
  model = {}
  if 'recipe' in entry:
    model = config_utils.load_config(entry['recipe']).model
  return config_utils.merged(model, entry.get('model', {}))


@dataclasses.dataclass
class Case:
  """One compiled function and how long it took.

  Attributes:
    compiled: what to run, and what on, see `ModelFunctions.compile`.
    batch_size: rows that it works on.
    flops: of one row, or None if unknown.
    seconds: of each run that counts.
  """

  compiled: tuple[jax.stages.Compiled, tuple]
  batch_size: int
  flops: int | None
  seconds: list[float] = dataclasses.field(default_factory=list)

  def _run(self) -> None:
    program, args = self.compiled
    jax.block_until_ready(program(*args))

  def run_round(self, seconds: float) -> None:
    """Runs for about so long, after one run that is not counted."""
    self._run()
    num_runs, start_s = 0, time.perf_counter()
    while num_runs < _LEAST_RUNS or time.perf_counter() - start_s < seconds:
      began_s = time.perf_counter()
      self._run()
      self.seconds.append(time.perf_counter() - began_s)
      num_runs += 1

  def result(self) -> dict[str, float]:
    """Figures by name, see `CostEval.run`."""
    figures = {
      'p50_ms': 1e3 * float(np.percentile(self.seconds, 50)),
      'p95_ms': 1e3 * float(np.percentile(self.seconds, 95)),
      'per_s': self.batch_size / float(np.mean(self.seconds)),
    }
    if self.flops is not None:
      figures['gflop'] = self.flops / 1e9
    return figures | {'mib': planned_bytes(self.compiled[0]) / 2**20}
