"""How well points are followed: the measures of TAP-Vid (arXiv 2211.03726).

One video at a time; results of many are averaged. Distances are pixels of a
frame that was scaled to 256 x 256, whatever its own shape.
"""

from typing import NamedTuple

import numpy as np

from rvmae_jax.registry import check_known

RASTER = 256
THRESHOLDS_PX = (1, 2, 4, 8, 16)
MODES = ('first', 'strided')
STRIDE = 5


class Queries(NamedTuple):
  """What a tracker is asked.

  Attributes:
    points: [Q, 3] frame, y and x; in the units of the tracks.
    tracks: [Q] int, the number of the track that each point lies on.
  """

  points: np.ndarray
  tracks: np.ndarray


def sample_queries(
  points: np.ndarray, visible: np.ndarray, mode: str, stride: int = STRIDE
) -> Queries:
  """The queries of a video.

  Args:
    points: [N, T, 2] x and y.
    visible: [N, T] bool.
    mode: 'first' asks once about each track, at its first visible frame;
      'strided' asks about all that is visible in every `stride`-th frame.
    stride: in frames.

  Raises:
    ValueError: an unknown mode.
  """
  check_known('query mode', MODES, mode)
  if mode == 'first':
    tracks = np.flatnonzero(visible.any(1))
    frames = visible[tracks].argmax(1)
  else:
    frames, tracks = np.nonzero(visible[:, ::stride].T)
    frames = frames * stride
  x, y = points[tracks, frames].T
  return Queries(np.stack([frames, y, x], axis=-1), tracks)


def point_scores(
  query_frames: np.ndarray,
  points: np.ndarray,
  visible: np.ndarray,
  pred_points: np.ndarray,
  pred_visible: np.ndarray,
  mode: str,
) -> dict[str, float]:
  """The scores of one video.

  Args:
    query_frames: [Q] int, the frame of each query.
    points: [Q, T, 2] true x and y, in pixels of the raster.
    visible: [Q, T] bool.
    pred_points: [Q, T, 2].
    pred_visible: [Q, T] bool.
    mode: 'first' counts the frames after the query's, 'strided' all but it.

  Returns:
    `AJ` (average Jaccard), `delta_average` (share of visible points that are
    found, its mean over thresholds), `OA` (accuracy of visibility), and
    `jaccard_<px>`, `pts_within_<px>` of each threshold. NaN is a share of
    nothing.

  Raises:
    ValueError: an unknown mode.
  """
  check_known('query mode', MODES, mode)
  offset = np.arange(visible.shape[1]) - np.asarray(query_frames)[:, None]
  counts = offset > 0 if mode == 'first' else offset != 0
  seen = visible & counts
  false_alarm = pred_visible & ~visible & counts
  distance = np.linalg.norm(pred_points - points, axis=-1)
  scores = {'OA': _share((pred_visible == visible) & counts, counts)}
  for threshold in THRESHOLDS_PX:
    # What is not visible may be anywhere, NaN too.
    within = np.less(distance, threshold, where=seen, out=np.zeros_like(seen))
    hits = within & pred_visible
    # Seen and reported far away is a miss and a false alarm.
    wrong = false_alarm | (seen & pred_visible & ~within)
    scores[f'pts_within_{threshold}'] = _share(within, seen)
    scores[f'jaccard_{threshold}'] = _ratio(
      hits.sum(), seen.sum() + wrong.sum()
    )
  for name, part in (('AJ', 'jaccard'), ('delta_average', 'pts_within')):
    scores[name] = float(
      np.mean([scores[f'{part}_{threshold}'] for threshold in THRESHOLDS_PX])
    )
  return scores


def _share(hits: np.ndarray, among: np.ndarray) -> float:
  return _ratio(hits.sum(), among.sum())


def _ratio(part: int, whole: int) -> float:
  return float(part / whole) if whole else float('nan')
