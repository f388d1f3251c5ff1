"""Points, followed by a trained head or by the similarity of features."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np

from rvmae_jax.data.scenes import POINTS
from rvmae_jax.evals.readouts import ReadoutEval, draw_rows, in_chunks
from rvmae_jax.evals.scene_clips import Truth
from rvmae_jax.evals.tracking.points import track_points
from rvmae_jax.layers.readout import READOUTS, Tracks, point_queries
from rvmae_jax.losses import readouts as losses
from rvmae_jax.metrics.points import MODES, RASTER, point_scores, sample_queries
from rvmae_jax.registry import check_settings

_SCORES = ('AJ', 'delta_average', 'OA')
# All that does something where no head learns.
_WITHOUT_HEADS = {
  *('videos', 'dataset', 'test', 'num_frames', 'stride', 'num_clips'),
  *('max_videos', 'encoders', 'num_pictures', 'zero_shot', 'tracker'),
}


class Followed(NamedTuple):
  """Where points are said to be, and where they are said to be seen.

  Attributes:
    points: [Q, T, 2] x and y, as shares of the frame.
    visible: [Q, T] bool.
  """

  points: np.ndarray
  visible: np.ndarray


class RelativePoints(nn.Module):
  """A `PointReadout` that says how far points are from where they are known.

  Attributes:
    readout: the head.
    std: how far they go, as a share of the frame; the unit of its answers.
  """

  readout: nn.Module
  std: float

  def __call__(self, features: jax.Array, queries: jax.Array) -> Tracks:
    """See `PointReadout`."""
    tracks = self.readout(features, queries)
    asked = (queries[:, :, None, :0:-1] + 1) / 2  # x and y in 0..1.
    # Back to what it was before it was brought to 0..1.
    gone = self.std * jax.scipy.special.logit(tracks.points)
    return tracks._replace(points=asked + gone)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PointTrackingEval(ReadoutEval):
  """TAP-Vid's AJ, delta-average and OA; beside them those of standing still.

  They are asked in both modes, as `<encoder>/first/AJ` and so on, see
  `metrics.points`. AJ in mode `first` chooses, and delta-average among heads
  that dare not call a point visible. An answer is a `Followed` for each mode.

  Attributes:
    num_queries: points of a clip that are drawn for a step of training, each at
      any frame where it is visible.
    relative: the head says how far a point is from its query; released heads
      say where it is, which takes more training.
    needs_certain: a point is reported as seen only where the head is also
      certain of its place, as released heads do. One that is rarely within the
      6 pixels of a raster of 256 that this takes reports nothing.
    zero_shot: no head: points are followed by the similarity of features, see
      `evals.tracking.points`. Test videos alone are read.
    tracker: settings of that.
  """

  datasets = POINTS
  chosen_by = ('first/AJ', 'first/delta_average')
  trivial_name = 'still'

  num_queries: int = 16
  relative: bool = False
  needs_certain: bool = True
  zero_shot: bool = False
  tracker: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  def __post_init__(self):
    super().__post_init__()
    given = 'features', 'queries'
    check_settings('setting of tracker', track_points, self.tracker, given)
    if self.zero_shot:
      names = {field.name for field in dataclasses.fields(self)}
      self.refuse_unused(names - _WITHOUT_HEADS, 'with zero_shot=True')
    else:
      self.refuse_unused(('tracker',), 'without zero_shot=True')

  @property
  def trains(self):
    """Whether heads are trained."""
    return not self.zero_shot

  def length(self, video):
    """Frames that may have points."""
    return video.visible.shape[1]

  def truth(self, video, frames):
    """`points` [N, T, 2] and `visible` [N, T], of points that are ever seen."""
    points, visible = video.points[:, frames], video.visible[:, frames]
    rows = visible.any(1)
    if not rows.any():
      return None
    return {'points': points[rows], 'visible': visible[rows]}

  def make_head(self, train):
    """`PointReadout`."""
    settings = {'num_frames': self.num_frames}
    readout = READOUTS.build({'name': 'points', **settings, **self.head})
    if not self.relative:
      return readout
    ways = []
    for clip in train:
      is_seen = clip.truth['visible'][..., None]
      seen = np.where(is_seen, clip.truth['points'], np.nan)
      ways.append(seen - np.nanmean(seen, axis=1, keepdims=True))
    return RelativePoints(readout, float(np.nanstd(np.concatenate(ways))))

  @staticmethod
  def loss(outputs, points, visible):
    """The sum of `losses.readouts.POINT_WEIGHTS`."""
    terms = losses.point_terms(*outputs, points, visible)
    return sum(
      weight * terms[name].mean()
      for name, weight in losses.POINT_WEIGHTS.items()
    )

  def draw(self, rng, truths):
    """Queries [B, Q, 3] as the head takes them; points and where visible."""
    queries, points, visible = [], [], []
    for truth in truths:
      rows = draw_rows(rng, truth['points'], self.num_queries)
      points.append(truth['points'][rows])
      visible.append(truth['visible'][rows])
      # The frame where it is seen and the dice are highest.
      dice = rng.random(visible[-1].shape)
      frames = np.where(visible[-1], dice, -1).argmax(1)
      x, y = points[-1][np.arange(len(rows)), frames].T
      queries.append(np.stack([frames, y, x], axis=-1))
    queries, points, visible = map(np.stack, (queries, points, visible))
    return [self._prepared(queries)], [points, visible]

  def _prepared(self, queries: np.ndarray) -> np.ndarray:
    # Places are shares of the frame already.
    return np.asarray(point_queries(queries, self.num_frames, (1, 1)))

  def ask(self, head, truth):
    """Mode -> `Followed`."""

    def follow(queries):
      tracks = head(self._prepared(queries)[None])
      is_seen = tracks.visible > 0
      if self.needs_certain:
        is_seen = Tracks(*tracks).is_visible()
      return np.asarray(tracks.points[0]), np.asarray(is_seen[0])

    return self._in_modes(follow, truth)

  def prepare(self, features):
    """Features as they are, where they are compared with each other."""
    return features if self.zero_shot else super().prepare(features)

  def fit(self, train, validation, seed, network=None):
    """See `ReadoutEval.fit`; nothing is learned with `zero_shot`."""
    if not self.zero_shot:
      return super().fit(train, validation, seed, network)
    grid = [side // self.videos.patch_size for side in self.videos.size]

    def answer(row, truth):
      # [1, t, h*w, D] -> [T, h, w, D]; a token is of all the frames it spans.
      features = row[0].repeat(self.num_frames // row.shape[1], axis=0)
      features = features.reshape(self.num_frames, *grid, -1).astype(np.float32)

      def follow(queries):
        return track_points(features, queries, **self.tracker)

      return self._in_modes(follow, truth)

    return answer, {}

  def _in_modes(self, follow, truth) -> dict[str, Followed]:
    return {
      mode: Followed(*in_chunks(follow, points))
      for mode, (points, _) in _queries(truth).items()
    }

  def trivial(self, train):
    """Where the query is, and always seen."""
    del train

    def follow(queries):
      still = queries[:, None, :0:-1].repeat(self.num_frames, axis=1)
      return still, np.ones(still.shape[:2], bool)

    return lambda truth: self._in_modes(follow, truth)

  def right_answer(self, truth):
    """The true points, as often as they are asked about."""
    return {
      mode: Followed(truth['points'][tracks], truth['visible'][tracks])
      for mode, (_, tracks) in _queries(truth).items()
    }

  def score(self, truth, answer):
    """`<mode>/AJ`, `<mode>/delta_average` and `<mode>/OA`."""
    found = {f'{mode}/{name}': math.nan for mode in MODES for name in _SCORES}
    right = self.right_answer(truth)
    for mode, (queries, _) in _queries(truth).items():
      true, said = right[mode], answer[mode]
      scores = point_scores(
        queries[:, 0].astype(int),
        *(RASTER * true.points, true.visible),
        *(RASTER * said.points, said.visible),
        mode,
      )
      found |= {f'{mode}/{name}': scores[name] for name in _SCORES}
    return found

  def picture(self, answer):
    """What was said in mode `first`."""
    return answer['first']._asdict()


def _queries(truth: Truth) -> dict[str, Any]:
  """Mode -> the `Queries` of a clip, where there are any."""
  points, visible = truth['points'], truth['visible']
  asked = {mode: sample_queries(points, visible, mode) for mode in MODES}
  return {mode: found for mode, found in asked.items() if len(found.tracks)}
