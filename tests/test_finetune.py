"""What configs/finetune.py says of a test and of the length of a run."""

import pathlib

import numpy as np
import pytest

from rvmae_jax.config_utils import load_config
from rvmae_jax.data.clips import CLIPS
from rvmae_jax.evals.videos import Videos, override
from rvmae_jax.evals.views import Views

CONFIGS = pathlib.Path(__file__).resolve().parents[1] / 'configs'


@pytest.mark.parametrize(
  ('name', 'starts'),
  # A clip of Kinetics takes 61 of 301 frames; those of the others take turns
  # in 32 parts of 9.4 frames.
  [('kinetics', [0, 60, 120, 180, 240]), ('ssv2', [4, 14])],
)
def test_a_classifier_is_tested_on_clips_of_the_whole_video(name, starts):
  config = load_config(f'{CONFIGS}/finetune.py:dataset={name}')
  evaluation = config.evals.accuracy_views
  data = override(config.data, evaluation.data)
  frames = CLIPS.build(data.clip)(np.arange(301) / 25).frames['video']
  videos = Videos(data, patch_size=16, batch_size=1)
  clips = Views.of(videos, evaluation.num_clips, 1).cut(
    frames.reshape(1, -1, 1, 1, 1)
  )
  assert [clip[0, 0, 0, 0, 0] for clip in clips] == starts
  assert {clip.shape[1] for clip in clips} == {16}
