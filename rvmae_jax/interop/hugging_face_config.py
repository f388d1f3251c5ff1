"""The settings that Hugging Face needs beside our weights."""

from typing import Any

from rvmae_jax.interop.hugging_face_settings import (
  ACTIVATIONS,
  ATTENTION_TYPES,
)

# Our activation -> theirs: of several names the one that all versions know.
_HIDDEN_ACTS = {ours: theirs for theirs, ours in reversed(ACTIVATIONS.items())}
# (space_time, whether it has a head) -> model_type, class.
_CLASSES = {
  ('joint', False): ('videomae', 'VideoMAEForPreTraining'),
  ('joint', True): ('videomae', 'VideoMAEForVideoClassification'),
  ('divided', True): ('timesformer', 'TimesformerForVideoClassification'),
  ('per_frame', False): ('vit_mae', 'ViTMAEForPreTraining'),
  ('per_frame', True): ('vit', 'ViTForImageClassification'),
}


def config_json(
  model: Any,
  num_frames: int,
  size: tuple[int, int],
  normalize: str,
  mask_ratio: float | None = None,
) -> dict:
  """What `from_pretrained` needs to build a network of ours.

  Args:
    model: `models.videomae.VideoMAE`, or a classifier on one.
    num_frames: of a clip, for the position table. A learned table says itself
      how many frames it has, and of which size.
    size: (H, W) of its frames.
    normalize: the objective's, see `losses.pixel.patch_statistics`; Hugging
      Face only distinguishes 'none' from all others.
    mask_ratio: share of hidden patches, where the network draws its own mask.

  Raises:
    ValueError: Hugging Face has no class for the network.
  """
  network = getattr(model, 'backbone', model)
  num_classes = getattr(model, 'num_classes', 0)
  family = network.space_time
  if family == 'joint' and network.num_prefix_tokens:
    family = 'divided'  # TimeSformer has the other kind as well.
  kind, class_name = _CLASSES.get((family, num_classes > 0), ('', ''))
  # Of VideoMAE the norm comes after pooling; the others norm all tokens.
  wanted = ('mean', False, True) if kind == 'videomae' else ('cls', True, False)
  head = wanted
  if num_classes:
    head = (model.pool, network.encoder_norm, model.norm)
  if not kind or head != wanted:
    raise ValueError(
      f'Hugging Face has no class for a {network.space_time} network of '
      f'{num_classes} classes with (pool, encoder_norm, norm)={head}; export '
      "it to .pth, with the names of the papers' code."
    )
  if network.position == 'learned':
    num_frames, *grid = network.learned_grid
    size = tuple(places * network.patch_size for places in grid)
  height, width = size
  if kind == 'timesformer' and height != width:
    raise ValueError(
      f"Hugging Face's TimeSformer takes square frames, not {height}x{width}; "
      "export it to .pth, with the names of the paper's code."
    )
  config = {
    'architectures': [class_name],
    'model_type': kind,
    'image_size': height if height == width else [height, width],
    'patch_size': network.patch_size,
    'num_channels': 3,
    'hidden_size': network.width,
    'num_hidden_layers': network.encoder_blocks,
    'num_attention_heads': network.encoder_heads,
    'intermediate_size': network.encoder_mlp_dim,
    'decoder_hidden_size': network.decoder_width,
    'decoder_num_hidden_layers': network.decoder_blocks,
    'decoder_num_attention_heads': network.decoder_heads,
    'decoder_intermediate_size': network.decoder_mlp_dim,
    'hidden_act': _HIDDEN_ACTS[network.activation],
    'layer_norm_eps': network.norm_eps,
    'qkv_bias': True,
  }
  if kind == 'videomae':
    config |= {
      'tubelet_size': network.tubelet_size,
      'use_mean_pooling': not network.encoder_norm,
    }
  if kind == 'timesformer':
    config['attention_type'] = ATTENTION_TYPES[network.space_time]
  if not kind.startswith('vit'):
    config['num_frames'] = num_frames
  if not num_classes:
    config['norm_pix_loss'] = normalize != 'none'
    if kind == 'vit_mae' and mask_ratio is not None:
      config['mask_ratio'] = mask_ratio
  else:
    config['id2label'] = {str(i): str(i) for i in range(num_classes)}
    config['label2id'] = {str(i): i for i in range(num_classes)}
  return config


def preprocessor_json(model: Any, size: tuple[int, int]) -> dict:
  """What makes frames ready for a network of ours, as it does itself.

  Args:
    model: as of `config_json`.
    size: (H, W) of its frames.
  """
  height, width = size
  network = getattr(model, 'backbone', model)
  is_image = network.space_time == 'per_frame'
  crop = {'height': height, 'width': width}
  settings = {
    'image_processor_type': (
      'ViTImageProcessor' if is_image else 'VideoMAEImageProcessor'
    ),
    'do_resize': True,
    'size': crop if is_image else {'shortest_edge': max(size)},
    'do_rescale': True,
    'rescale_factor': 1 / 255,
    'do_normalize': True,
    'image_mean': list(network.pixel_mean),
    'image_std': list(network.pixel_std),
  }
  if not is_image:
    settings |= {'do_center_crop': True, 'crop_size': crop}
  return settings
