"""ARVideo pre-training, the paper's recipe (arXiv 2405.15160).

  python -m rvmae_jax.train --workdir runs/arvideo \\
    --config configs/arvideo.py:variant=B,dataset=ssv2,videos=DIR

Arguments: clusters=spatio_temporal (4x7x7 of 8x14x14 tokens, the paper's
choice), spatial (a whole time slot) or temporal (one place at all times);
order=random (the paper's choice; a fresh one for each clip), spatial_first or
temporal_first; variant=tiny|S|B; dataset, videos, published, shards and
runlocal as in configs/videomae.py, which also sets everything else.
Cost: ViT-B takes 205 GFLOP a clip, forward and backward; VideoMAE's takes 202.
The paper trains 14 % faster than VideoMAE, in 26.1 GB instead of 41.3.
Expect (paper, ViT-B fine-tuned, 800 epochs): K400 81.2, SSv2 70.9.
"""

from rvmae_jax.config_utils import parse_arg
from rvmae_jax.configs import videomae
from rvmae_jax.registry import check_known


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  arg = parse_arg(
    arg, **videomae.ARGUMENTS, clusters='spatio_temporal', order='random'
  )
  config = videomae.get_config(arg)
  config.model.name = 'arvideo'
  for field in ('space_time', 'num_prefix_tokens'):
    del config.model[field]

  t = config.data.clip.num_frames // config.model.tubelet_size
  h, w = (side // config.model.patch_size for side in config.data.crop.size)
  clusters = {
    'spatio_temporal': (t // 2, h // 2, w // 2),
    'spatial': (1, h, w),
    'temporal': (t, 1, 1),
  }
  check_known('clusters', clusters, arg.clusters)
  config.data.mask = {
    'name': 'clusters',
    'cluster': clusters[arg.clusters],
    'order': arg.order,
    # Share of each cluster's tokens that the encoder does not see.
    'ratio': 0.8,
  }
  return config
