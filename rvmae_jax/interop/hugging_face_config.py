"""The `config.json` that Hugging Face wants beside weights of ours."""

from typing import Any

# What `rvmae_jax.layers.transformer` has; theirs default to 1e-12.
_NORM_EPS = 1e-6
# (space_time, whether it has a head) -> model_type, class.
_CLASSES = {
  ('joint', False): ('videomae', 'VideoMAEForPreTraining'),
  ('joint', True): ('videomae', 'VideoMAEForVideoClassification'),
  ('divided', True): ('timesformer', 'TimesformerForVideoClassification'),
  ('per_frame', False): ('vit_mae', 'ViTMAEForPreTraining'),
  ('per_frame', True): ('vit', 'ViTForImageClassification'),
}


def config_json(
  model: Any, num_frames: int, size: tuple[int, int], normalize: str
) -> dict:
  """What `from_pretrained` needs to build a network of ours.

  Args:
    model: `models.videomae.VideoMAE`, or a classifier on one.
    num_frames: of a clip, for the position table.
    size: (H, W) of its frames.
    normalize: the objective's, see `losses.pixel.patch_statistics`; theirs is
      'none' or not.

  Raises:
    ValueError: Hugging Face has no class for the network.
  """
  network = getattr(model, 'backbone', model)
  num_classes = getattr(model, 'num_classes', 0)
  kind, class_name = _CLASSES.get(
    (network.space_time, num_classes > 0), ('', '')
  )
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
  height, width = size
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
    'hidden_act': 'gelu',
    'layer_norm_eps': _NORM_EPS,
    'qkv_bias': True,
  }
  if kind == 'videomae':
    config |= {
      'tubelet_size': network.tubelet_size,
      'use_mean_pooling': not network.encoder_norm,
    }
  if not kind.startswith('vit'):
    config['num_frames'] = num_frames
  if not num_classes:
    config['norm_pix_loss'] = normalize != 'none'
  else:
    config['id2label'] = {str(i): str(i) for i in range(num_classes)}
    config['label2id'] = {str(i): i for i in range(num_classes)}
  return config
