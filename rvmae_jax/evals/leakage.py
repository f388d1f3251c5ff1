"""Whether an evaluation asks about videos that the network has learned from."""

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from rvmae_jax.data.localization import LOCALIZATION_SETS
from rvmae_jax.data.manifest import SeenVideos
from rvmae_jax.data.pipeline import build_sources
from rvmae_jax.data.tracking import TRACKING
from rvmae_jax.evals import videos_of

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
  evaluations: Mapping[str, Any], run_data: ConfigDict, seen: SeenVideos
) -> dict[str, Leak]:
  """Evaluations whose test videos were trained on.

  What a probe learns from does not count, nor does an evaluation that leaves
  the run's own sources as they are: it asks about training videos and says so.

  Args:
    evaluations: by alias.
    run_data: the data config of the run.
    seen: what the run has learned from.

  Returns:
    alias -> leak, for those that have one.
  """
  leaks, known = {}, {}
  for alias, evaluation in evaluations.items():
    if getattr(evaluation, 'dataset', None):  # Of its own, which is no source.
      files = list_files(evaluation)
      shared = seen.find_files(files)
      if shared:
        leaks[alias] = Leak(len(shared), len(files), tuple(shared[:_SHOWN]))
      continue
    sides = videos_of(evaluation)
    asked = sides.get('test') or sides.get('videos')
    if not asked or (
      'test' not in sides and asked.sources == run_data.sources.to_dict()
    ):
      continue
    key = json.dumps(asked.sources, default=list)
    if key not in known:
      sources = build_sources(asked.sources)
      shared = [path for source in sources for path in seen.find(source)]
      known[key] = Leak(
        len(shared), sum(map(len, sources)), tuple(shared[:_SHOWN])
      )
    if known[key].num_shared:
      leaks[alias] = known[key]
  return leaks


def list_files(evaluation: Any) -> list[str]:
  """Files, or folders of images, of an evaluation's own dataset.

  Args:
    evaluation: with a `dataset` of `LOCALIZATION_SETS` or `TRACKING`, or one
      that says itself which files it reads.
  """
  if hasattr(evaluation, 'test_files'):
    return evaluation.test_files()
  if hasattr(evaluation, 'test'):
    dataset = LOCALIZATION_SETS.build({**evaluation.dataset, **evaluation.test})
    videos = [part for video in dataset.videos for part in video.parts]
  else:
    dataset = TRACKING.build(evaluation.dataset)
    videos = [dataset[i].video for i in range(len(dataset))]
  # A video is a path, or a record.
  return [os.fspath(v['path'] if isinstance(v, Mapping) else v) for v in videos]


def describe(leaks: Mapping[str, Leak]) -> str:
  """Which evaluations, how many videos, and some of them by name."""
  return '\n'.join(
    f'  {alias}: {leak.num_shared} of {leak.num_videos} test videos, such as '
    f'{", ".join(leak.examples)}'
    for alias, leak in leaks.items()
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


def refuse(leaks: Mapping[str, Leak]) -> None:
  """Raises if there are any.

  Raises:
    ValueError: names evaluations and videos.
  """
  if leaks:
    raise ValueError(
      'The network was trained on videos that it is asked about:\n'
      f'{describe(leaks)}\n'
      'Choose another split (python -m rvmae_jax.tools.split makes one that '
      'shares nothing), or pass --allow_leakage, which metrics.json records '
      'with the numbers.'
    )
