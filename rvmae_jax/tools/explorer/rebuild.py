"""The tab Rebuild: what a network makes of what it does not see."""

from typing import Any, NamedTuple

import numpy as np

from rvmae_jax.config_utils import token_size
from rvmae_jax.data.loader import make_loader
from rvmae_jax.data.pipeline import check_config
from rvmae_jax.evals.clip_reconstruction import ClipReconstructionEval
from rvmae_jax.evals.rebuilding import Clips, rebuilt_clips
from rvmae_jax.evals.reconstruction import ReconstructionEval
from rvmae_jax.evals.videos import Videos
from rvmae_jax.parts import rebuilt_frames
from rvmae_jax.tools.explorer.masks import settings_of
from rvmae_jax.tools.explorer.networks import Network, functions_of_size
from rvmae_jax.visualize.clip_reconstructions import draw_clip_reconstructions
from rvmae_jax.visualize.psnr import METHODS
from rvmae_jax.visualize.reconstructions import GREY
from rvmae_jax.visualize.style import new_figure, show, styled

_COLUMNS = 4


class Rebuilt(NamedTuple):
  """What was rebuilt of a clip, and how well.

  Attributes:
    clips: arrays of one clip, see `evals.rebuilding.rebuilt_clips`.
    gap: steps from the last source frame to the target; 0 of a clip that has
      no targets.
    scores: method -> PSNR in dB and SSIM, both on what is hidden.
  """

  clips: Clips
  gap: int
  scores: dict[str, tuple[float, float]]


def why_not(network: Network) -> str:
  """Why a network cannot rebuild pixels; '' if it can."""
  if not rebuilt_frames(network.config):
    name = network.config.objective.name
    return (
      f'{network.name} was not trained to rebuild pixels: its objective is '
      f'{name!r}.'
    )
  _, params, _ = network.functions.trainable
  if 'decoder' not in params:
    return (
      f'{network.name} has no decoder: these weights are of an encoder alone.'
    )
  return ''


def rebuilds_targets(network: Network) -> bool:
  """Whether it rebuilds later frames, and not parts of the clip it sees."""
  return rebuilt_frames(network.config) == 'target'


def trained_ratio(network: Network) -> float:
  """The share of tokens that was hidden in training."""
  mask = network.config.data.mask
  return mask.get('ratio', settings_of(mask.name)['ratio'])


def rebuild(
  network: Network, path: str, gap: int, ratio: float, seed: int = 0
) -> Rebuilt:
  """Hides parts of a video, as the network learned to see it, and rebuilds.

  Args:
    network: that rebuilds pixels.
    path: of the video.
    gap: steps from the last source frame to the target, where there is one.
    ratio: share of the tokens to hide.
    seed: of the mask.

  Raises:
    ValueError: the network cannot rebuild, see `why_not`; or nothing would be
      left visible or hidden.
    VideoError: the video cannot be read.
  """
  if reason := why_not(network):
    raise ValueError(reason)
  config, has_targets = network.config, rebuilds_targets(network)
  videos = Videos(
    # One file, which the loader is given; no source is opened.
    sources={'video': {'path': path}},
    clip=network.clip,
    crop={'size': tuple(config.data.crop.size)},
    mask={**config.data.mask, 'ratio': ratio},
    batch_size=1,
    **token_size(config.model),
  )
  if has_targets:
    evaluation = ReconstructionEval(videos=videos, gaps=(int(gap),))
  else:
    evaluation = ClipReconstructionEval(videos=videos)
  videos = evaluation.videos
  loader = make_loader(
    check_config(videos.data), **token_size(config.model), train=False
  )
  rows = loader({'path': path, 'label': -1}, np.random.default_rng(seed))
  batch = {**rows, 'valid': np.ones(1, bool)}
  functions = functions_of_size(network, *rows['ids_keep'].shape)
  clips = rebuilt_clips(functions, batch, videos)
  found = evaluation.metrics(
    {key: values[0] for key, values in evaluation.scores(clips).items()}
  )
  prefix = f'gap_{gap}/' if has_targets else ''
  scores = {
    title: (
      found[f'{prefix}{method}/psnr_hidden'],
      found[f'{prefix}{method}/ssim_hidden'],
    )
    for method, title in METHODS.items()
    if f'{prefix}{method}/psnr_hidden' in found
  }
  return Rebuilt(clips, int(gap) if has_targets else 0, scores)


@styled
def draw_rebuilt(rebuilt: Rebuilt) -> Any:
  """What was seen, what was rebuilt and what was true, as a Figure.

  Of a target frame: the source frames, then the target as it was seen, rebuilt,
  true, and the last source frame, which copying takes for it.
  """
  clips = {key: arrays[0] for key, arrays in rebuilt.clips.items()}
  if 'target' not in clips:
    keys = ('video', 'rebuilt', 'visible', 'hidden')
    return draw_clip_reconstructions(*(rebuilt.clips[key] for key in keys))
  video, target, hidden = clips['video'], clips['target'][0], clips['hidden'][0]
  last = len(video) - 1
  pictures = {
    **{f't\u2212{last - t}': video[t] for t in range(last)},
    't': video[-1],
    f't+{rebuilt.gap}, as it is seen': np.where(
      hidden[..., None], GREY, target
    ),
    'rebuilt': clips['rebuilt'][0],
    'true': target,
    'copied from t': video[-1],
  }
  num_rows = -(-len(pictures) // _COLUMNS)
  cell = 7 / _COLUMNS
  aspect = video.shape[1] / video.shape[2]
  figure = new_figure(7, num_rows * (cell * aspect + 0.25))
  all_axes = figure.subplots(num_rows, _COLUMNS, squeeze=False).ravel()
  for axes in all_axes:
    axes.set_axis_off()
  for axes, (title, picture) in zip(all_axes, pictures.items()):
    show(axes, picture, title)
  return figure
