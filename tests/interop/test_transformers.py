"""Networks of Hugging Face in small, saved in every layout: equal outputs.

The truth is what PyTorch computes; it runs wherever torch and transformers can
be imported, of which both 4 and 5 are meant:

  pip install torch transformers && pytest tests/interop/test_transformers.py
"""

import argparse
import json
import os
import re

import numpy as np
import pytest

from rvmae_jax import export as export_lib
from rvmae_jax import weights
from rvmae_jax.models import build_model
from rvmae_jax.objectives import build_objective

# Before transformers is imported: it would look for TensorFlow, and hubs.
os.environ |= {'USE_TF': '0', 'USE_FLAX': '0', 'HF_HUB_OFFLINE': '1'}
torch = pytest.importorskip('torch', reason='PyTorch makes the true outputs')
transformers = pytest.importorskip(
  'transformers', reason='its networks are what files are compared with'
)

SIZE, T = 32, 4
ENCODER = {
  'image_size': SIZE,
  'patch_size': 8,
  'hidden_size': 48,
  'num_hidden_layers': 2,
  'num_attention_heads': 3,
  'intermediate_size': 80,
}
DECODER = {
  'decoder_hidden_size': 32,
  'decoder_num_hidden_layers': 1,
  'decoder_num_attention_heads': 4,
  'decoder_intermediate_size': 40,
}
# Name -> class, what its config is made of.
NETWORKS = {
  'videomae pretrain': (
    'VideoMAEForPreTraining',
    ENCODER | DECODER | {'num_frames': T, 'use_mean_pooling': False},
  ),
  'videomae classify': (
    'VideoMAEForVideoClassification',
    ENCODER | {'num_frames': T, 'num_labels': 5},
  ),
  'videomae encoder': (
    'VideoMAEModel',
    ENCODER | {'num_frames': T, 'use_mean_pooling': False},
  ),
  'vit_mae pretrain': ('ViTMAEForPreTraining', ENCODER | DECODER),
  'vit_mae encoder': ('ViTMAEModel', ENCODER | DECODER | {'mask_ratio': 0.0}),
  'vit classify': ('ViTForImageClassification', ENCODER | {'num_labels': 5}),
  'vit encoder': ('ViTModel', ENCODER),
  'timesformer classify': (
    'TimesformerForVideoClassification',
    ENCODER | {'num_frames': T, 'num_labels': 5},
  ),
  'timesformer encoder': ('TimesformerModel', ENCODER | {'num_frames': T}),
  'timesformer joint': (
    'TimesformerForVideoClassification',
    ENCODER
    | {
      'num_frames': T,
      'num_labels': 5,
      'attention_type': 'joint_space_time',
    },
  ),
}
LAYOUTS = ('safetensors', 'bin', 'sharded', 'sharded bin', 'half')
# Of a network: how its paper's scripts wrap a state dict.
WRAPPERS = {
  'videomae pretrain': lambda arrays: {'model': arrays},
  'videomae classify': lambda arrays: {'module': arrays},
  'vit_mae pretrain': lambda arrays: {'model': arrays},
  'vit classify': lambda arrays: {'model': arrays},
  'timesformer classify': lambda arrays: {
    'model_state': {f'model.{name}': array for name, array in arrays.items()}
  },
}
# Of a network and a setting that no array tells.
SETTINGS = {
  'gelu_new': {'hidden_act': 'gelu_new'},
  'gelu_pytorch_tanh': {'hidden_act': 'gelu_pytorch_tanh'},
  'quick_gelu': {'hidden_act': 'quick_gelu'},
  'relu': {'hidden_act': 'relu'},
  'silu': {'hidden_act': 'silu'},
  'eps': {'layer_norm_eps': 0.1},
  'image': {'image_size': [SIZE, 16]},
}
# Sums in another order, and two norms whose eps Hugging Face leaves at 1e-5.
RELATIVE = 1e-4


def make(name, **changes):
  """A network of theirs whose every parameter is random."""
  class_name, fields = NETWORKS[name]
  network_class = getattr(transformers, class_name)
  config = network_class.config_class(**fields | changes)
  network = network_class(config).eval()
  generator = torch.Generator().manual_seed(0)
  with torch.no_grad():
    for key, parameter in network.named_parameters():
      values = torch.randn(parameter.shape, generator=generator)
      # Norms stay near 1, kernels keep the size of what goes through them.
      is_norm = 'norm' in key and key.endswith('weight')
      scale = (
        max(parameter[0].numel(), 1) ** -0.5 if parameter.ndim > 1 else 0.3
      )
      parameter.copy_(is_norm + scale * values)
  return network


def clip(network):
  config = network.config
  num_frames = getattr(config, 'num_frames', 1)
  size = config.image_size
  height, width = (size, size) if isinstance(size, int) else size
  rng = np.random.default_rng(0)
  shape = 2, num_frames, height, width, 3
  return rng.integers(0, 256, shape, dtype=np.uint8)


def pixel_values(video, mean, std):
  """[B, T, H, W, 3] uint8 as theirs: [B, T, 3, H, W], or [B, 3, H, W]."""
  pixels = (video / 255 - mean) / std
  pixels = torch.tensor(np.moveaxis(pixels, -1, 2), dtype=torch.float32)
  return pixels[:, 0] if pixels.shape[1] == 1 else pixels


def hidden_places(num_tokens):
  """The same tokens hidden in both clips, [2, N]: three of four."""
  hidden = np.ones(num_tokens, bool)
  hidden[np.random.default_rng(1).permutation(num_tokens)[::4]] = False
  return np.stack([hidden] * 2)


def their_outputs(network, pixels):
  """Name -> array: logits, hidden states, reconstructions, loss."""
  name = type(network).__name__
  inputs = {'pixel_values': pixels}
  if name == 'VideoMAEForPreTraining':
    num_tokens = pixels[0, ::2, 0, ::8, ::8].numel()
    inputs['bool_masked_pos'] = torch.tensor(hidden_places(num_tokens))
  if name.startswith('ViTMAE'):
    num_tokens = pixels[0, 0, ::8, ::8].numel()
    places = np.arange(num_tokens)
    if name == 'ViTMAEForPreTraining':
      # What is hidden has the greater noise; both keep their order.
      places = places + 1000 * hidden_places(num_tokens)[0]
    inputs['noise'] = torch.tensor(np.stack([places] * 2), dtype=torch.float32)
  with torch.no_grad():
    out = network(**inputs)
  found = {}
  for key in ('logits', 'last_hidden_state', 'loss'):
    value = out.get(key)
    if value is not None:
      found[key] = value.numpy()
  return found


def masked_batch(model, video):
  hidden = hidden_places(int(np.prod(model.clip_grid(video.shape))))
  order = np.argsort(hidden, axis=-1, kind='stable')
  ids_keep, ids_mask = np.split(order, [int((~hidden[0]).sum())], axis=-1)
  return {'video': video, 'ids_keep': ids_keep, 'ids_mask': ids_mask}


def our_outputs(model, params, video, theirs):
  """The same outputs of ours, in the order of theirs."""
  variables = {'params': params}
  if hasattr(model, 'num_classes'):
    return {'logits': model.apply(variables, {'video': video})['logits']}
  if 'logits' in theirs:
    if model.num_prefix_tokens:
      model = model.clone(rebuild='all')
    out = model.apply(variables, masked_batch(model, video))
    in_order = np.argsort(out['pred_ids'], axis=-1)[..., None]
    return {'logits': np.take_along_axis(out['pred'], in_order, axis=1)}
  features = np.asarray(model.apply(variables, video, method='encode'))
  num_prefix = model.num_prefix_tokens
  prefix, grid = np.split(features, [num_prefix], axis=2)
  if num_prefix:  # Place by place all times; a single CLS token.
    grid = grid.swapaxes(1, 2)
  tokens = grid.reshape(len(video), -1, features.shape[-1])
  hidden = np.concatenate([prefix[:, 0], tokens], axis=1)
  return {'last_hidden_state': hidden}


def relative_errors(ours, theirs):
  errors = {}
  for key, value in ours.items():
    assert value.shape == theirs[key].shape, key
    worst = np.abs(np.asarray(value) - theirs[key]).max()
    errors[key] = float(worst / np.abs(theirs[key]).max())
  return errors


def save(network, folder, layout):
  """Writes a network as their library does, or did."""
  if layout == 'safetensors':
    network.save_pretrained(folder)
  elif layout == 'half':
    network.to(torch.bfloat16).save_pretrained(folder)
  elif layout == 'sharded':
    network.save_pretrained(folder, max_shard_size='20KB')
    assert (folder / 'model.safetensors.index.json').exists()
  else:
    network.config.save_pretrained(folder)
    arrays = network.state_dict()
    if layout == 'bin':
      torch.save(arrays, folder / 'pytorch_model.bin')
    else:
      files = 'pytorch_model-{}-of-2.bin'
      parts = [dict(list(arrays.items())[i::2]) for i in range(2)]
      names = {}
      for i, part in enumerate(parts):
        torch.save(part, folder / files.format(i + 1))
        names |= dict.fromkeys(part, files.format(i + 1))
      index = json.dumps({'metadata': {}, 'weight_map': names})
      (folder / 'pytorch_model.bin.index.json').write_text(index)


# Names of Hugging Face's files -> those of the papers' code.
ORIGINAL_NAMES = (
  (r'^(videomae|vit|timesformer)\.encoder\.layer\.', 'blocks.'),
  (r'^(videomae|vit|timesformer)\.embeddings\.', ''),
  (r'^(videomae|vit|timesformer)\.layernorm', 'norm'),
  (r'^decoder\.decoder_(layers|encoder\.layer)\.', 'decoder_blocks.'),
  (r'^decoder\.(decoder_|mask_)', r'\1'),
  (r'^classifier', 'head'),
  (r'patch_embeddings\.projection', 'patch_embed.proj'),
  (r'position_embeddings', 'pos_embed'),
  (r'time_embeddings', 'time_embed'),
  (r'temporal_layernorm', 'temporal_norm1'),
  (r'temporal_dense', 'temporal_fc'),
  (r'layernorm_before', 'norm1'),
  (r'layernorm_after', 'norm2'),
  (r'attention\.output\.dense', 'attn.proj'),
  (r'intermediate\.dense', 'mlp.fc1'),
  (r'output\.dense', 'mlp.fc2'),
  (r'attention\.attention\.', 'attn.'),
)


def as_original(network, folder):
  """A state dict with the names of the papers' code."""
  load_file = pytest.importorskip('safetensors.torch').load_file
  network.save_pretrained(folder / 'theirs')
  arrays = {}
  for name, array in load_file(folder / 'theirs/model.safetensors').items():
    for pattern, replacement in ORIGINAL_NAMES:
      name = re.sub(pattern, replacement, name)
    arrays[name] = array
  is_videomae = type(network).__name__.startswith('VideoMAE')
  for name in [n for n in arrays if n.endswith('attn.query.weight')]:
    prefix = name.removesuffix('query.weight')
    for leaf in ('weight', 'bias'):
      parts = [
        arrays.pop(f'{prefix}{role}.{leaf}', None)
        for role in ('query', 'key', 'value')
      ]
      if is_videomae and leaf == 'bias':
        if parts[0] is not None:  # transformers 5
          arrays[f'{prefix}q_bias'], _, arrays[f'{prefix}v_bias'] = parts
      else:
        arrays[f'{prefix}qkv.{leaf}'] = torch.cat(parts)
  if type(network).__name__ != 'VideoMAEForPreTraining':
    return arrays
  encoder = ('blocks.', 'patch_embed.', 'norm.')
  return {
    re.sub('^decoder_blocks', 'decoder.blocks', name)
    if not name.startswith(encoder)
    else f'encoder.{name}': array
    for name, array in arrays.items()
  }


@pytest.mark.parametrize('name', list(WRAPPERS))
def test_files_of_the_papers_code(name, tmp_path, record_property):
  """No config.json: published widths tell the heads."""
  decoder = {'decoder_hidden_size': 192, 'decoder_num_attention_heads': 3}
  if name.startswith('vit_mae'):
    decoder = {'decoder_hidden_size': 512, 'decoder_num_attention_heads': 16}
  sizes = {'hidden_size': 192, 'num_attention_heads': 3}
  if 'pretrain' in name:
    sizes |= decoder
  network = make(name, **sizes, layer_norm_eps=1e-6)
  path = tmp_path / 'checkpoint.pth'
  wrapped = WRAPPERS[name](as_original(network, tmp_path))
  torch.save(wrapped | {'epoch': 3, 'args': argparse.Namespace(lr=1)}, path)
  check(network, path, record_property)


def check(network, folder, record):
  model, params = weights.load_model(folder)
  encoder = getattr(model, 'backbone', model)
  video = clip(network)
  values = pixel_values(video, encoder.pixel_mean, encoder.pixel_std)
  theirs = their_outputs(network.float(), values)
  errors = relative_errors(our_outputs(model, params, video, theirs), theirs)
  assert errors
  record('relative_error', max(errors.values()))
  print(f'{type(network).__name__} {folder.name} {errors}')
  for key, error in errors.items():
    assert error < RELATIVE, key


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('name', NETWORKS)
def test_outputs_are_theirs(name, layout, tmp_path, record_property):
  network = make(name)
  save(network, tmp_path, layout)
  check(network, tmp_path, record_property)


@pytest.mark.parametrize('setting', SETTINGS)
@pytest.mark.parametrize(
  'name', ['videomae pretrain', 'vit classify', 'timesformer classify']
)
def test_settings_are_read(name, setting, tmp_path, record_property):
  if setting == 'image' and name.startswith('timesformer'):
    pytest.skip('its frames are square')
  network = make(name, **SETTINGS[setting])
  save(network, tmp_path, 'safetensors')
  check(network, tmp_path, record_property)


@pytest.mark.parametrize(
  ('mean', 'std'), [([0.5] * 3, [0.5] * 3), ([0.1, 0.2, 0.3], [0.3, 0.2, 0.1])]
)
def test_pixels_are_made_ready_as_theirs(mean, std, tmp_path):
  network = make('vit classify')
  save(network, tmp_path, 'safetensors')
  size = {'height': SIZE, 'width': SIZE}
  processor = transformers.ViTImageProcessor(
    image_mean=mean, image_std=std, size=size
  )
  processor.save_pretrained(tmp_path)
  model, params = weights.load_model(tmp_path)
  video = clip(network)
  pixels = processor(list(video[:, 0]), return_tensors='np')['pixel_values']
  with torch.no_grad():
    theirs = network(torch.tensor(pixels)).logits.numpy()
  ours = model.apply({'params': params}, {'video': video})['logits']
  errors = relative_errors({'logits': ours}, {'logits': theirs})
  assert errors['logits'] < RELATIVE


@pytest.mark.parametrize('suffix', ['safetensors', 'bin'])
@pytest.mark.parametrize(
  'name',
  [name for name in NETWORKS if name.split()[1] != 'encoder'],
)
def test_they_read_ours(name, suffix, tmp_path, record_property):
  """Their file, loaded, exported and given to `from_pretrained`."""
  network = make(name, hidden_act='relu', layer_norm_eps=1e-3)
  save(network, tmp_path, 'safetensors')
  stem = {'safetensors': 'model', 'bin': 'pytorch_model'}[suffix]
  out = tmp_path / 'out' / f'{stem}.{suffix}'
  export_lib.export(tmp_path, out)
  again = type(network).from_pretrained(out.parent).eval()
  assert again.config.hidden_act == 'relu'
  pixels = pixel_values(clip(network), 0.5, 0.2)
  theirs, ours = (their_outputs(net, pixels) for net in (network, again))
  assert ours.keys() == theirs.keys()
  for key in theirs:
    np.testing.assert_array_equal(ours[key], theirs[key], err_msg=key)
  if hasattr(network.config, 'mask_ratio'):
    assert again.config.mask_ratio == network.config.mask_ratio
  # And we read it as what it was.
  check(network, out.parent, record_property)


@pytest.mark.parametrize(
  ('name', 'changes', 'message'),
  [
    ('videomae pretrain', {'hidden_act': 'mish'}, "hidden_act='mish'"),
    ('videomae pretrain', {'num_channels': 1}, 'patches have 1 colours'),
    ('vit classify', {'qkv_bias': False}, 'qkv_bias=False'),
    (
      'timesformer classify',
      {'attention_type': 'space_only'},
      'attention_type=space_only',
    ),
    (
      'videomae classify',
      {'use_mean_pooling': False},
      'use_mean_pooling=False',
    ),
    (
      'vit classify',
      {'problem_type': 'multi_label_classification'},
      'problem_type=',
    ),
  ],
)
def test_what_no_network_here_has_is_refused(name, changes, message, tmp_path):
  save(make(name, **changes), tmp_path, 'safetensors')
  with pytest.raises(ValueError, match=message):
    weights.load_model(tmp_path)


@pytest.mark.parametrize('norm_pix_loss', [True, False])
@pytest.mark.parametrize('name', ['videomae pretrain', 'vit_mae pretrain'])
def test_losses_are_theirs(name, norm_pix_loss, tmp_path, record_property):
  network = make(name, norm_pix_loss=norm_pix_loss)
  save(network, tmp_path, 'safetensors')
  params, config = weights.load(tmp_path)
  model = build_model(config.model)
  video = clip(network)
  values = pixel_values(video, model.pixel_mean, model.pixel_std)
  objective = build_objective(config)
  loss, _ = objective(
    lambda params, batch, **_: model.apply({'params': params}, batch),
    params,
    masked_batch(model, video),
    rng=None,
    train=False,
  )
  theirs = their_outputs(network, values)['loss']
  record_property('relative_error', abs(float(loss) / theirs - 1))
  assert abs(float(loss) / theirs - 1) < RELATIVE
