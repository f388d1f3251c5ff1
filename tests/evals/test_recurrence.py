"""Recurrence: what is averaged, and what is kept for pictures."""

import numpy as np
import pytest

from rvmae_jax.evals.recurrence import RecurrenceEval
from rvmae_jax.evals.videos import Videos

_DATA = {
  'sources': {'noise': {'name': 'fake', 'num_videos': 3, 'num_frames': 8}},
  'clip': {'name': 'source_target', 'num_source': 2, 'gap': (1, 5)},
  'crop': {'size': (16, 24)},
  'mask': {'name': 'target', 'ratio': 0.5},
}


class Core:
  """One prefix token, six patches; the update gate is the frame's number.

  Of a row of padding, which is black, it is 0.
  """

  def predict(self, batch):
    rows, frames = batch['video'].shape[:2]
    is_video = batch['video'].any((1, 2, 3, 4))[:, None, None]
    gate = np.zeros((rows, frames, 7)) + np.arange(frames)[:, None] * is_video
    return {
      'features': np.ones((rows, frames, 7, 4)),
      'stats': {
        'update_gate': gate,
        'reset_gate': gate / 2,
        'state_norm': gate[..., 0],
      },
    }


def test_means_over_clips_at_the_first_and_last_frame():
  videos = Videos(**_DATA, patch_size=8, batch_size=2)
  evaluation = RecurrenceEval(
    videos=videos, num_batches=0, num_frames=5, num_pictures=1
  )
  metrics, arrays = evaluation.run(Core())
  assert metrics == pytest.approx(
    {
      'update_gate/first': 0,
      'update_gate/last': 4,
      'reset_gate/first': 0,
      'reset_gate/last': 2,
      'state_norm/first': 0,
      'state_norm/last': 4,
    }
  )
  shapes = {key: value.shape for key, value in arrays.items()}
  assert shapes == {
    'video': (1, 5, 16, 24, 3),
    'features': (1, 5, 6, 4),
    'update_gate': (1, 5, 6),
    'reset_gate': (1, 5, 6),
    'grid': (2,),
  }
  assert arrays['grid'].tolist() == [2, 3]


def test_a_model_without_a_core_is_skipped():
  class Plain:
    def predict(self, batch):
      return {'features': None}

  videos = Videos(**_DATA, patch_size=8, batch_size=2)
  assert RecurrenceEval(videos=videos).run(Plain()).metrics == {}
