"""Whether an evaluation tests on videos that the network was trained on."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from absl import logging
from ml_collections import ConfigDict

from rvmae_jax.data.manifest import SeenVideos
from rvmae_jax.evals import Evaluation

_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class Leak:
  """Videos of one evaluation that were trained on.

  Attributes:
    num_shared: how many.
    num_videos: that the evaluation asks about.
    examples: paths of the first few.
  """

  num_shared: int
  num_videos: int
  examples: tuple[str, ...]


def find_leaks(
  evaluations: Mapping[str, Evaluation], run_data: ConfigDict, seen: SeenVideos
) -> dict[str, Leak]:
  """Evaluations whose test videos were trained on.

  The videos that a probe learns from do not count. Nor does an evaluation on
  exactly the run's own sources, which is about training videos on purpose.

  Args:
    evaluations: by alias.
    run_data: the data config of the run.
    seen: what the run has learned from.

  Returns:
    alias -> leak, for those that have one.
  """
  leaks, known = {}, {}
  for alias, evaluation in evaluations.items():
    if files := evaluation.test_files():
      shared, num_videos = seen.find_files(files), len(files)
    else:
      sides = evaluation.videos_by_side()
      asked = sides.get('test') or sides.get('videos')
      if not asked or (
        'test' not in sides and asked.sources == run_data.sources.to_dict()
      ):
        continue
      key = json.dumps(asked.sources, default=list)
      if key not in known:
        found = [path for source in asked.built for path in seen.find(source)]
        known[key] = found, sum(map(len, asked.built))
      shared, num_videos = known[key]
    if shared:
      leaks[alias] = Leak(len(shared), num_videos, tuple(shared[:_SHOWN]))
  return leaks


def check(leaks: Mapping[str, Leak], is_allowed: bool = False) -> None:
  """Refuses leaks, or warns of them if they are allowed.

  Raises:
    ValueError: names evaluations and videos.
  """
  text = 'The network was trained on test videos:\n'
  text += '\n'.join(
    f'  {alias}: {leak.num_shared} of {leak.num_videos} test videos, such as '
    f'{", ".join(leak.examples)}'
    for alias, leak in leaks.items()
  )
  if leaks and is_allowed:
    logging.warning(text)
  elif leaks:
    raise ValueError(
      f'{text}\n'
      'Choose another split (python -m rvmae_jax.tools.split makes one that '
      'shares nothing), or pass --allow_leakage, which metrics.json records '
      'with the numbers.'
    )


def of_result(result: Mapping[str, Any]) -> str:
  """The warning for a result of metrics.json; '' without a leak."""
  if 'leakage' not in result:
    return ''
  leak = result['leakage']
  return (
    f'{leak["num_shared"]} of its {leak["num_videos"]} test videos were '
    'trained on.'
  )
