"""RVM where one frame says little: a step between the quick start and film.

  python -m rvmae_jax.train --config configs/rvm_midsize.py \\
    --workdir runs/midsize

Videos of 64 pixels in patches of 8: three sprites with a texture and a still
one in front, before a busy background, and a camera that moves. All sprites of
a video show one of 12 motions, each at a speed of its own, so that the motion
has to be told from the camera's. `eval_sprites.py` asks what was learned, of
videos that look alike.

Arguments: runlocal stops after a few steps.
Cost: 2.45 GFLOP a clip; rendering takes 0.1 s a video, once. Not yet trained to
its end.
"""

from rvmae_jax.config_utils import parse_arg
from rvmae_jax.configs import rvm_quickstart

# What all splits of these videos look like.
LOOK = {
  'size': 64,
  'num_frames': 24,
  'num_sprites': 3,
  'num_occluders': 1,
  'background': 'busy',
  'camera': 'pan',
}


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  arg = parse_arg(arg, runlocal=False)
  config = rvm_quickstart.get_config(f'runlocal={arg.runlocal}')
  config.model.position_grid = (8, 8)
  config.data.crop.size = (64, 64)
  config.data.sources.videos.update(LOOK)
  config.evals.reconstruction.data.sources.videos.update(LOOK)
  config.evals.knn.data.clip.num_frames = 24
  if arg.runlocal:
    config.data.sources.videos.num_videos = 64
  else:
    config.total_steps = 10_000
    config.schedule.warmup_steps = 200
    config.checkpoint.every_steps = 1_000
    config.log.pictures_every = 2_500
    config.evals.reconstruction.every_steps = 1_000
    config.evals.knn.every_steps = 2_500
  return config
