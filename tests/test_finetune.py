"""What configs/finetune.py says of a test and of the length of a run."""

import pathlib

import numpy as np
import pytest

from rvmae_jax.config_utils import load_config
from rvmae_jax.data.augmentation.geometry import centre_box
from rvmae_jax.data.clips import CLIPS
from rvmae_jax.evals import build_eval
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
  evaluation = build_eval(
    config.evals.accuracy_views, run_config=config, batch_size=1
  )
  videos = evaluation.videos
  frames = CLIPS.build(videos.clip)(np.arange(301) / 25).frames['video']
  clips = Views.of(videos, evaluation.num_clips, 1).cut(
    frames.reshape(1, -1, 1, 1, 1)
  )
  assert [clip[0, 0, 0, 0, 0] for clip in clips] == starts
  assert {clip.shape[1] for clip in clips} == {16}


@pytest.mark.parametrize(
  ('arguments', 'video', 'wanted'),
  [
    ('dataset=ucf101', (240, 320), (224, 304)),
    ('dataset=kinetics', (256, 454), (224, 400)),
    # Patches of 14 pixels do not cut a frame of 400.
    ('pretraining=videomae_v2,variant=g', (256, 454), (224, 392)),
  ],
)
def test_views_are_cut_out_of_nearly_whole_frames(arguments, video, wanted):
  config = load_config(f'{CONFIGS}/finetune.py:{arguments}')
  height, width = config.evals.accuracy_views.data.crop.size
  assert (height, width) == wanted
  assert width % config.model.patch_size == 0
  left, top, right, bottom = centre_box(*video, width / height)
  assert (right - left) * (bottom - top) > 0.97 * video[0] * video[1]


@pytest.mark.parametrize(
  ('spec', 'num_videos', 'passes', 'warmup_passes'),
  [
    ('finetune.py:dataset=kinetics', 240_000, 75, 5),
    ('finetune.py:dataset=ssv2', 169_000, 30, 5),
    ('finetune.py:dataset=ucf101', 9_500, 100, 5),
    ('from_scratch.py', 169_000, 100, 5),
  ],
)
def test_epochs_are_passes_over_the_videos(
  spec, num_videos, passes, warmup_passes
):
  config = load_config(f'{CONFIGS}/{spec}')
  assert config.data.repeats == 2
  videos_a_step = config.batch_size / 2
  for steps, wanted in (
    (config.total_steps, passes),
    (config.schedule.warmup_steps, warmup_passes),
  ):
    assert steps * videos_a_step / num_videos == pytest.approx(wanted, rel=0.01)
  assert config.evals.accuracy_views.every_steps == config.total_steps
