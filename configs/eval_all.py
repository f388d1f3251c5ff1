"""Every evaluation, on moving sprites, for which the truth is known.

  python -m rvmae_jax.evaluate --config configs/eval_all.py \\
    --checkpoint runs/quickstart --workdir runs/quickstart/eval_all
  python -m rvmae_jax.tools.report --workdir runs/quickstart \\
    --evaluation runs/quickstart/eval_all --out runs/quickstart/eval_all.html

Any network that was trained on sprites of 32 pixels will do. Evaluations that
do not apply to it are skipped, and the log says why. `--untrained` evaluates
the same network with random weights.

Arguments: source=the run's name for its source (videos); only=some of the
evaluations below, joined by +.
Cost: 14 minutes on one CPU core beside other programs.
Expect, for the quick start: linear probe (mean and std of the last 8 frames)
81 % of 12 motions, attentive probe 66; mean mAP of localization 22 %, with half
the training videos of eval_localization.py and fewer steps. All numbers:
docs/comparison.md.
"""

from rvmae_jax.config_utils import named, parse_arg
from rvmae_jax.configs import (
  eval_label_propagation,
  eval_localization,
  eval_long_video,
  eval_readouts,
  eval_sprites,
)


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  arg = parse_arg(arg, source='videos', only='')
  config = eval_sprites.get_config(arg)
  quickstart = config.evals
  readouts = eval_readouts.get_config('dataset=sprites').evals

  def split(name, num_videos=0, **look):  # 0 is all of a split.
    videos = {'name': 'run', 'split': name, 'num_videos': num_videos, **look}
    return {'sources': {arg.source: videos}}

  # 16 frames of 1,500 training videos and of 504 test videos.
  probe = quickstart.linear_probe.to_dict()
  for key in ('name', 'poolings'):
    del probe[key]
  few = {'data': {**split('val', 64), 'clip': 'run'}}
  config.evals = {
    # 1. Action recognition.
    'linear_probe': quickstart.linear_probe,
    # The field's solver beside the exact one.
    'linear_probe_sgd': {
      'name': 'linear_probe',
      **probe,
      'solver': 'sgd',
      'encoders': ('trained', 'random'),
      'num_epochs': 40,
      'seeds': 3,
    },
    'attentive_probe': {'name': 'attentive_probe', **probe, 'width': 128},
    'knn': {'name': 'knn', **probe},
    # Learned on one source, here sprites as the run has them, and tested on
    # another with the same classes: sprites on a busy background.
    'linear_probe_cross_look': {
      'name': 'linear_probe',
      **probe,
      'test': split('probe_test', background='busy'),
    },
    # 2. Retrieval: test videos among train videos, then among each other.
    'retrieval': {
      'name': 'retrieval',
      **probe,
      'poolings': ('mean_std_8', 'mean'),
    },
    'retrieval_leave_one_out': {
      'name': 'retrieval',
      **{key: probe[key] for key in ('data', 'test', 'encoders')},
      'standardise': True,
      'num_pictures': 0,
    },
    # 3. Temporal localization.
    'localization': eval_localization.get_config().evals.localization,
    # 4. Label propagation.
    'label_propagation': (
      eval_label_propagation.get_config().evals.label_propagation
    ),
    # Readouts: boxes by a head, and points without one.
    'box_tracking': {
      **readouts.boxes,
      'encoders': ('trained', 'random'),
      'batch_size': 16,
    },
    'points_zero_shot': readouts.points_zero_shot,
    # 5. Reconstruction: of target frames or of clips, whichever a run does.
    'reconstruction': {
      **quickstart.reconstruction,
      'ratios': (0.5, 0.75),
    },
    'clip_reconstruction': {
      **quickstart.clip_reconstruction,
      'ratios': (0.5, 0.9),
    },
    # Temporal coherence: the errors of change, and along the true flow.
    'reconstruction_coherence': {
      'name': 'reconstruction',
      **few,
      'gaps': (1, 2, 3, 4),
      'flow': 'dense_inverse_search',
    },
    'clip_reconstruction_coherence': {
      'name': 'clip_reconstruction',
      **few,
      'flow': 'dense_inverse_search',
    },
    'uncertainty': {'name': 'uncertainty', **few},
    # 6. Long videos.
    'long_video': {
      **eval_long_video.get_config().evals.as_trained,
      'num_videos': 2,
    },
    # 7. Robustness, and accuracy by groups of videos.
    'linear_probe_strata': {
      'name': 'linear_probe',
      **probe,
      'encoders': ('trained', 'random'),
      'strata': ('size', 'pace'),
    },
    'robustness': {
      'name': 'robustness',
      **{key: probe[key] for key in ('data', 'train')},
      'test': split('probe_test', 252),
      'severities': (1, 3, 5),
    },
    # 8. Cost, beside a clip model as wide and as deep.
    'cost': {
      'name': 'cost',
      'beside': {
        'videomae': {
          'recipe': 'configs/videomae.py:variant=tiny',
          'model': {'patch_size': 8, 'encoder_blocks': 4, 'dtype': 'float32'},
        }
      },
    },
    # 9. Quality without labels.
    'feature_quality': {'name': 'feature_quality', **few},
    'recurrence': quickstart.recurrence,
  }
  localization = config.evals.localization
  localization.train.num_videos, localization.test.num_videos = 48, 24
  localization.head.num_steps = 300
  config.evals = named(config.evals, arg.only, 'evaluation')
  return config
