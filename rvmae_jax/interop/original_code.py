"""Names in the `.pth` files of the papers' code: VideoMAE, MAE, TimeSformer.

Its blocks are those of timm, which fuse queries, keys and values as we do.
"""

from rvmae_jax.interop.state_dict import Origin

VIT_MAE_FIELDS = {
  'space_time': 'per_frame',
  'num_prefix_tokens': 1,
  'position': 'learned',
  'key_bias': True,
  'embedding_bias': True,
}
TIMESFORMER_FIELDS = {
  'space_time': 'divided',
  'num_prefix_tokens': 1,
  'position': 'learned',
  'key_bias': True,
  'pixel_mean': (0.45, 0.45, 0.45),
  'pixel_std': (0.225, 0.225, 0.225),
}

_TIMM_BLOCK = {
  'attention_norm': 'norm1',
  'attention/qkv': 'attn.qkv',
  'attention/out': 'attn.proj',
  'mlp_norm': 'norm2',
  'mlp/dense_in': 'mlp.fc1',
  'mlp/dense_out': 'mlp.fc2',
}

ORIGINALS = {
  'videomae_original': Origin(
    name='VideoMAE, original pre-training',
    model_types=('videomae',),
    modules={
      'patch_embedding/projection': 'encoder.patch_embed.proj',
      'encoder/norm': 'encoder.norm',
      'decoder/embedding': 'encoder_to_decoder',
      'decoder/blocks/norm': 'decoder.norm',
      'decoder/output': 'decoder.head',
    },
    arrays={'decoder/mask_token': 'mask_token'},
    stacks={
      'encoder/blocks': 'encoder.blocks.{}',
      'decoder/blocks/blocks': 'decoder.blocks.{}',
    },
    block=_TIMM_BLOCK,
    qv_bias=('attn.q_bias', 'attn.v_bias'),
    tubelet_size=2,
  ),
  'videomae_original_classifier': Origin(
    name='VideoMAE, original classifier',
    model_types=('videomae',),
    modules={
      'patch_embedding/projection': 'patch_embed.proj',
      'norm': 'fc_norm',
      'head': 'head',
    },
    arrays={},
    stacks={'encoder/blocks': 'blocks.{}'},
    block=_TIMM_BLOCK,
    qv_bias=('attn.q_bias', 'attn.v_bias'),
    tubelet_size=2,
  ),
  'mae_original': Origin(
    name='MAE, original',
    model_types=('vit_mae', 'vit'),
    modules={
      'patch_embedding/projection': 'patch_embed.proj',
      'encoder/norm': 'norm',
      'decoder/embedding': 'decoder_embed',
      'decoder/blocks/norm': 'decoder_norm',
      'decoder/output': 'decoder_pred',
      # Of classifiers that pool all patches; those of the CLS token have none.
      'norm': 'fc_norm',
      'head': 'head',
    },
    arrays={
      'cls_token': 'cls_token',
      'positions/places': 'pos_embed',
      'decoder/mask_token': 'mask_token',
      'decoder/positions/places': 'decoder_pos_embed',
    },
    stacks={
      'encoder/blocks': 'blocks.{}',
      'decoder/blocks/blocks': 'decoder_blocks.{}',
    },
    block=_TIMM_BLOCK,
    fields=VIT_MAE_FIELDS,
  ),
  'timesformer_original': Origin(
    name='TimeSformer, original',
    model_types=('timesformer',),
    modules={
      'patch_embedding/projection': 'patch_embed.proj',
      'encoder/norm': 'norm',
      'head': 'head',
    },
    arrays={
      'cls_token': 'cls_token',
      'positions/places': 'pos_embed',
      'positions/times': 'time_embed',
    },
    stacks={'encoder/blocks': 'blocks.{}'},
    block={
      **_TIMM_BLOCK,
      'temporal_norm': 'temporal_norm1',
      'temporal_attention/qkv': 'temporal_attn.qkv',
      'temporal_attention/out': 'temporal_attn.proj',
      'temporal_projection': 'temporal_fc',
    },
    fields=TIMESFORMER_FIELDS,
  ),
}
