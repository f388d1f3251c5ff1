"""Recurrence: gates, state and features over clips longer than training's."""

import collections
import dataclasses

import numpy as np

from rvmae_jax.data.clips import unwrapped
from rvmae_jax.evals import Evaluation, Result
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.videos import Videos
from rvmae_jax.registry import check_counts


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecurrenceEval(Evaluation):
  """What the recurrent core does over many frames; nothing is compared.

  An update gate near 0 carries the state through unchanged, one near 1 forgets
  it; a state whose norm keeps growing will fail on long videos.

  Attributes:
    videos: what to read; needs a `source_target` clip and a mask.
    num_frames: source frames to run through.
    num_batches: batches to average over; 0 takes all.
    num_pictures: clips whose arrays are kept.
  """

  # Only a whole batch with targets brings out the gates.
  rebuilds = ('target',)
  reads = ('sources', 'clip', 'crop', 'mask')

  videos: Videos
  num_frames: int = 12
  num_batches: int = 1
  num_pictures: int = 3

  def __post_init__(self):
    check_counts(self, 'num_pictures')
    # One target is the least it takes.
    clip = {'num_source': self.num_frames, 'num_target': 1, 'gaps': (1,)}
    clip = {**unwrapped(self.videos.clip), **clip}
    self.resolve(videos=self.videos.replace(clip=clip))

  def run(self, functions: ModelFunctions) -> Result:
    """`update_gate`, `reset_gate`, `gate_saturation` and `state_norm`.

    Each as `<name>/first` and `<name>/last`, means at the first and the last
    frame. Arrays kept: `video` [n, T, H, W, 3] in [0, 1], `features`
    [n, T, N, D], `update_gate` and `reset_gate` [n, T, N], all without prefix
    tokens, and `grid`, the rows and columns of N.
    """
    kept = collections.defaultdict(list)
    courses = collections.defaultdict(list)
    for batch in self.videos.batches(self.num_batches):
      outputs = functions.predict(batch)
      if not outputs.get('stats'):
        return self.skipped('the model has no recurrent core')
      valid = batch['valid']
      stats = {k: np.asarray(v)[valid] for k, v in outputs['stats'].items()}
      for name, values in stats.items():
        # [B, T] or [B, T, tokens] -> [B, T]
        courses[name].append(values.reshape(*values.shape[:2], -1).mean(-1))
      if sum(map(len, kept['video'])) < self.num_pictures:
        kept['video'].append(batch['video'][valid] / np.float32(255))
        kept['features'].append(np.asarray(outputs['features'])[valid])
        kept['update_gate'].append(stats['update_gate'])
        kept['reset_gate'].append(stats['reset_gate'])
    if not sum(map(len, kept['video'])):
      return self.skipped('no video could be decoded')
    arrays = {
      key: np.concatenate(values)[: self.num_pictures]
      for key, values in kept.items()
    }
    height, width = arrays['video'].shape[2:4]
    patch_size = self.videos.patch_size
    grid = height // patch_size, width // patch_size
    for key in arrays.keys() - {'video'}:
      arrays[key] = arrays[key][:, :, -grid[0] * grid[1] :]
    arrays['grid'] = np.array(grid)
    metrics = {}
    for name, values in courses.items():
      course = np.concatenate(values).mean(0)  # [T]
      metrics[f'{name}/first'] = float(course[0])
      metrics[f'{name}/last'] = float(course[-1])
    return Result(metrics, arrays)
