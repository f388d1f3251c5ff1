"""MGMAE pre-training: VideoMAE whose mask follows the motion (2308.10794).

  pip install "rvmae_jax[flow]"
  python -m rvmae_jax.train --workdir runs/mgmae \\
    --config configs/mgmae.py:variant=B,dataset=ssv2,videos=DIR

Visible places travel with the optical flow, so that less of what is hidden in
one frame can be looked up in another. The flow is estimated on the host, once
for each decoded clip; the paper takes it from a network (RAFT).

Arguments: motion=dense_inverse_search, farneback, or difference, which is
cheap, shows what changes between frames and needs no OpenCV;
variant=tiny|S|B|L|H, dataset (ssv2 if not given), videos, published, shards and
runlocal as in configs/videomae.py.
Cost: on the device as VideoMAE; on the host, flow and mask of 16 frames take
about 65 ms of one core.
Expect (paper, ViT-B, fine-tuned): SSv2 71.0 after 800 epochs, 72.3 after 2,400;
K400 81.2 after 800, 81.8 after 1,600.
"""

from rvmae_jax.config_utils import parse_arg
from rvmae_jax.configs import videomae
from rvmae_jax.data.flow import FLOWS
from rvmae_jax.registry import check_known


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  arg = parse_arg(
    arg,
    motion='dense_inverse_search',
    **{**videomae.ARGUMENTS, 'dataset': 'ssv2'},
  )
  config = videomae.get_config(arg)
  check_known('motion', (*FLOWS.names(), 'difference'), arg.motion)
  if arg.motion == 'difference':
    config.data.mask.name = 'frame_difference'
  else:
    config.data.mask.name = 'motion_guided'
    config.data.mask.flow = arg.motion
  return config
