"""Makes the values of Hugging Face's networks in small, with PyTorch.

  python -m tests.golden.make_hugging_face

Needs torch and transformers 4 (values were made with 4.57.1 and torch 2.13.0),
whose names of arrays are those of published files. Every parameter is random;
parameters and inputs are kept as float16, which holds them exactly.
"""

import json
import os
import pathlib

import numpy as np

os.environ |= {'USE_TF': '0', 'USE_FLAX': '0', 'HF_HUB_OFFLINE': '1'}
import torch
import transformers

from tests.golden import packed

SIZE, PATCH, T = 16, 4, 4
ENCODER = {
  'image_size': SIZE,
  'patch_size': PATCH,
  'hidden_size': 16,
  'num_hidden_layers': 2,
  'num_attention_heads': 2,
  'intermediate_size': 24,
}
DECODER = {
  'decoder_hidden_size': 8,
  'decoder_num_hidden_layers': 1,
  'decoder_num_attention_heads': 2,
  'decoder_intermediate_size': 12,
}
CLASSES = {'num_labels': 5}
rng = np.random.default_rng(0)


def half(values):
  """Values that float16 holds exactly, as float32."""
  return values.astype(np.float16).astype(np.float32)


def make(class_name, fields):
  """A network whose every parameter is random, in eval mode."""
  network_class = getattr(transformers, class_name)
  network = network_class(network_class.config_class(**fields)).eval()
  with torch.no_grad():
    for name, parameter in network.named_parameters():
      values = rng.standard_normal(parameter.shape)
      if name.endswith('weight') and parameter.ndim > 1:
        values *= parameter[0].numel() ** -0.5
      else:
        values = 0.3 * values + ('norm' in name and name.endswith('weight'))
      parameter.copy_(torch.tensor(half(values)))
  return network


def save(name, network, inputs, outputs):
  """Writes one file: params/, in/, out/ and config_json."""
  arrays = {
    f'params/{key}': value.numpy().astype(np.float16)
    for key, value in network.state_dict().items()
  }
  arrays |= {
    f'in/{key}': value.astype(np.float16) if value.dtype == 'f4' else value
    for key, value in inputs.items()
  }
  arrays |= {
    f'out/{key}': value.detach().numpy() for key, value in outputs.items()
  }
  config = json.dumps(network.config.to_dict())
  path = pathlib.Path(__file__).with_name(f'{name}.npz')
  packed.write(path, {**arrays, 'config_json': np.array(config)})
  print(path.name, path.stat().st_size)


def pixels(*shape):
  """Pixels as these networks get them, standardised."""
  return half(rng.normal(0, 1, shape))


def videomae_pretrain():
  network = make(
    'VideoMAEForPreTraining',
    {**ENCODER, **DECODER, 'num_frames': T, 'use_mean_pooling': False},
  )
  video = pixels(2, T, 3, SIZE, SIZE)
  num_places = (SIZE // PATCH) ** 2
  hidden = np.ones((2, num_places), bool)
  for row in hidden:
    row[rng.permutation(num_places)[:4]] = False
  hidden = np.tile(hidden, T // 2)
  out = network(torch.tensor(video), bool_masked_pos=torch.tensor(hidden))
  out.loss.backward()
  everything = network.videomae(torch.tensor(video)).last_hidden_state
  save(
    'videomae_pretrain',
    network,
    {'pixel_values_imagenet_normalised': video, 'bool_masked_pos': hidden},
    {
      'logits': out.logits,
      'loss': out.loss,
      'grad_mask_token': network.mask_token.grad,
      'encoder_all_tokens': everything,
    },
  )


def videomae_classify():
  network = make(
    'VideoMAEForVideoClassification', {**ENCODER, **CLASSES, 'num_frames': T}
  )
  video = pixels(2, T, 3, SIZE, SIZE)
  out = network(torch.tensor(video))
  save(
    'videomae_classify',
    network,
    {'pixel_values_imagenet_normalised': video},
    {'logits': out.logits},
  )


def image_mae_pretrain():
  network = make(
    'ViTMAEForPreTraining', {**ENCODER, **DECODER, 'norm_pix_loss': True}
  )
  images = pixels(2, 3, SIZE, SIZE)
  noise = rng.permuted(
    np.tile(np.arange((SIZE // PATCH) ** 2), (2, 1)), axis=1
  ).astype(np.float32)
  out = network(torch.tensor(images), noise=torch.tensor(noise))
  save(
    'image_mae_pretrain',
    network,
    {
      'pixel_values_imagenet_normalised': images,
      'noise_argsorted_low_is_kept': noise,
    },
    {'logits': out.logits, 'loss': out.loss, 'mask_1_is_removed': out.mask},
  )


def timesformer_classify():
  network = make(
    'TimesformerForVideoClassification', {**ENCODER, **CLASSES, 'num_frames': T}
  )
  video = pixels(2, T, 3, SIZE, SIZE)
  out = network(torch.tensor(video), output_hidden_states=True)
  save(
    'timesformer_classify',
    network,
    {'pixel_values_imagenet_normalised': video},
    {'logits': out.logits, 'last_hidden_state': out.hidden_states[-1]},
  )


if __name__ == '__main__':
  videomae_pretrain()
  videomae_classify()
  image_mae_pretrain()
  timesformer_classify()
