"""Long videos composed of short ones, whose labels say what happens when."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rvmae_jax.data.localization import untrimmed
from rvmae_jax.data.records import NO_LABEL
from rvmae_jax.data.sources import SOURCES


def composed(
  source: Mapping[str, Any],
  num_videos: int = 24,
  num_clips: tuple[int, int] = (3, 5),
  max_seconds: float = 8.0,
  seed: int = 0,
) -> untrimmed.LocalizationSet:
  """Joins labelled clips end to end, drawn at random; nothing is written.

  Args:
    source: an entry of `SOURCES` whose videos have labels, with its arguments.
    num_videos: how many to compose.
    num_clips: of a video, the least and the most; two that are neighbours have
      different labels.
    max_seconds: of a clip; longer ones are cut.
    seed: of the draw.

  Raises:
    ValueError: fewer than two labels.
  """
  clips = SOURCES.build(source)
  records = [clips[number] for number in range(len(clips))]
  labels = np.array([record['label'] for record in records])
  if len({*labels.tolist()} - {NO_LABEL}) < 2:
    raise ValueError(
      f'composed: the videos of {dict(source)} need at least two labels; they '
      f'have {sorted({*labels.tolist()} - {NO_LABEL})}.'
    )
  rng = np.random.default_rng(seed)
  videos = []
  for number in range(num_videos):
    chosen, label = [], NO_LABEL
    for _ in range(rng.integers(*num_clips, endpoint=True)):
      others = np.flatnonzero((labels != label) & (labels != NO_LABEL))
      chosen.append(int(rng.choice(others)))
      label = labels[chosen[-1]]
    parts = [_cut(records[place], max_seconds) for place in chosen]
    ends = np.cumsum([_duration_s(part) for part in parts])
    videos.append(
      untrimmed.UntrimmedVideo(
        name=f'composed_{number:03d}',
        parts=parts,
        segments_s=np.stack([np.append(0, ends[:-1]), ends], axis=1),
        labels=labels[chosen].astype(np.int32),
      )
    )
  return untrimmed.LocalizationSet(videos, clips.class_names)


def _cut(record: dict[str, Any], max_seconds: float) -> dict[str, Any]:
  start = record.get('start_s', 0.0)
  end = min(record.get('end_s', np.inf), start + max_seconds)
  return {**record, 'start_s': start, 'end_s': end}


def _duration_s(part: dict[str, Any]) -> float:
  video = untrimmed.UntrimmedVideo('', [part], np.zeros((0, 2)), np.zeros(0))
  return float(video.times_s()[-1])
