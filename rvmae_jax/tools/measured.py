"""What `rvmae_jax.evaluate` has measured of a run, for pages about that run."""

import json
from collections.abc import Mapping
from typing import Any

from etils import epath

from rvmae_jax import files

# In the workdir of a run, by default.
EVALUATION = 'evaluation'
# In that of an evaluation.
METRICS = 'metrics.json'
# Settings that a run never changes; its number of steps, for one, may grow.
_IDENTITY = ('model', 'objective', 'seed')


def weights_note(measured: Mapping[str, Any], num_done: int | None) -> str:
  """Which weights of a run were measured; '' for the last ones.

  Args:
    measured: from `read_measured`.
    num_done: steps that the run's log has.
  """
  step = measured.get('step')
  parts = []
  if step is not None and num_done is not None and step != num_done:
    parts.append(f'after step {step:,}, and the log ends at {num_done:,}')
  if measured.get('ema'):
    parts.append('with the moving average of the parameters')
  return f'Measured {"; ".join(parts)}.' if parts else ''


def read_measured(
  path: epath.PathLike, config: Mapping[str, Any]
) -> dict[str, Any]:
  """What an evaluation has measured, if it was of the run with this config.

  Args:
    path: of its metrics.json; may be in a bucket (gs://).
    config: of the run, as its config.json has it.

  Raises:
    FileNotFoundError: there is none.
    ValueError: it is damaged, or is of another run or of untrained weights.
  """
  path = epath.Path(path)
  if not path.exists():
    raise FileNotFoundError(
      f'No {path.name} in {path.parent}; --evaluation must be the --workdir of '
      'an evaluation that is complete.'
    )
  found = files.read_json(path)
  if found.get('untrained'):
    raise ValueError(
      f'{path} was measured with random weights (--untrained), which say '
      'nothing of the run; leave it out.'
    )
  wanted = json.loads(json.dumps(config))  # Lists for tuples.
  other = found.get('run_config', wanted)
  with files.naming(path, 'was not written by evaluate', remedy=''):
    differing = [k for k in _IDENTITY if other.get(k) != wanted.get(k)]
  if differing:
    raise ValueError(
      f'{path} was measured on another run ({found.get("checkpoint")}): its '
      f'config differs in {", ".join(differing)}.'
    )
  return found
