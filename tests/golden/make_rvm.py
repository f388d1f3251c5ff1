"""Makes rvm.npz: a plain PyTorch transcription of the released RVM, in small.

  python -m tests.golden.make_rvm            writes the file beside
  python -m tests.golden.make_rvm FILE.npz   compares with the values of a file

It is written from the paper and shares nothing with `rvmae_jax`: one token
after the other is what it says, nothing is fused, time is a loop, and autograd
gives the gradients. Needs torch. Parameters are kept as float16, which holds
them exactly; everything is computed in float64.
"""

import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F

from tests.golden import packed, released_rvm

PATCH = 4
SMALL = {
  'width': 12,
  'encoder': released_rvm.Stack(blocks=2, heads=3, mlp=20),
  'core': released_rvm.Stack(blocks=2, heads=2, mlp=20),
  'decoder_width': 8,
  'decoder': released_rvm.Stack(blocks=1, heads=2, mlp=12),
  'patch': PATCH,
}
BATCH, T, S, SIZE, VISIBLE = 2, 3, 2, (12, 20), 3


class Rvm:
  """The network on a dict of arrays with the released names.

  Heads are told by the shapes of kernels, [D, heads, d].
  """

  def __init__(self, params):
    self.params = params

  def dense(self, name, x, bias=True):
    kernel = self.params[f'{name}/kernel']
    x = x @ kernel.reshape(x.shape[-1], -1)
    return x + self.params[f'{name}/bias'].reshape(-1) if bias else x

  def norm(self, name, x, eps=1e-6, bias=True):
    x = x - x.mean(-1, keepdim=True)
    x = x / torch.sqrt((x**2).mean(-1, keepdim=True) + eps)
    x = x * self.params[f'{name}/scale']
    return x + self.params[f'{name}/bias'] if bias else x

  def attention(self, name, x, context):
    heads, d = self.params[f'{name}/query/kernel'].shape[1:]

    def split(role, tokens):
      projected = self.dense(f'{name}/{role}', tokens)
      return projected.reshape(*tokens.shape[:-1], heads, d).transpose(-2, -3)

    query, key, value = (
      split(role, tokens)
      for role, tokens in (('query', x), ('key', context), ('value', context))
    )
    weights = torch.softmax(query @ key.transpose(-1, -2) / d**0.5, -1)
    mixed = (weights @ value).transpose(-2, -3).flatten(-2)
    out = self.params[f'{name}/out/kernel'].reshape(heads * d, -1)
    return mixed @ out + self.params[f'{name}/out/bias']

  def mlp(self, name, x):
    hidden = F.gelu(self.dense(f'{name}/dense_in', x), approximate='tanh')
    return self.dense(f'{name}/dense_out', hidden)

  def count(self, prefix):
    names = (n.removeprefix(prefix) for n in self.params if prefix in n)
    return len({name.split('/')[0] for name in names})

  def encode(self, frame, visible=None):
    """[B, H, W, 3] -> [B, 1 + N, D]; of `visible` [B, N] patches alone."""
    kernel = self.params['tokenizer/patch_embedding/Conv_0/kernel']
    p = kernel.shape[1]
    patches = patchify(frame, p)
    x = patches @ kernel.reshape(-1, kernel.shape[-1])
    x = x + self.params['tokenizer/patch_embedding/Conv_0/bias']
    h, w = frame.shape[1] // p, frame.shape[2] // p
    table = sines(256, x.shape[-1]).reshape(1, 16, 16, -1).permute(0, 3, 1, 2)
    if (h, w) != (16, 16):
      table = F.interpolate(
        table, (h, w), mode='bicubic', align_corners=False, antialias=True
      )
    x = x + table.permute(0, 2, 3, 1).reshape(1, h * w, -1)
    if visible is not None:
      x = torch.stack([row[keep] for row, keep in zip(x, visible)])
    cls = self.params['cls_token'].reshape(1, 1, -1).expand(len(x), 1, -1)
    x = torch.cat([cls, x], 1)
    for i in range(self.count('encoder/layers_')):
      block = f'encoder/layers_{i}'
      normed = self.norm(f'{block}/attention_norm', x)
      x = x + self.attention(f'{block}/attention', normed, normed)
      x = x + self.mlp(f'{block}/mlp', self.norm(f'{block}/mlp_norm', x))
    return self.norm('encoder/LayerNorm_0', x)

  def cross_transformer(self, name, x, context):
    for i in range(self.count(f'{name}/xa_blocks_')):
      block = f'{name}/xa_blocks_{i}'
      normed = self.norm(f'{block}/ca_attention_norm', x)
      x = x + self.attention(f'{block}/ca_attention', normed, context)
      x = x + self.mlp(f'{block}/mlp', self.norm(f'{block}/mlp_norm', x))
      normed = self.norm(f'{block}/attention_norm', x)
      x = x + self.attention(f'{block}/attention', normed, normed)
    return self.norm(f'{name}/output_norm', x)

  def core(self, state, x):
    def gate(kind):
      return torch.sigmoid(
        self.dense(f'rnn_core/input_{kind}', x, bias=False)
        + self.dense(f'rnn_core/state_{kind}', state, bias=False)
      )

    update, reset = gate('update'), gate('reset')
    normed = self.norm('rnn_core/state_layer_norm', state, 1e-4, bias=False)
    new = self.cross_transformer('rnn_core/transformer', x, reset * normed)
    return (1 - update) * state + update * new

  def features(self, video):
    """[B, T, H, W, 3] -> [B, T, 1 + N, D]."""
    found = []
    for t in range(video.shape[1]):
      x = self.encode(video[:, t])
      state = found[-1] if found else torch.zeros_like(x)
      found.append(self.core(state, x))
    return torch.stack(found, 1)

  def rebuild(self, features, target, delta, mask):
    """One target [B, H, W, 3], `delta` [B] ahead, `mask` [B, N] 1 = hidden."""
    context = self.dense('decoder_embedder', features.flatten(1, 2))
    visible = mask == 0
    encoded = self.encode(target, visible)
    encoded = self.dense('decoder_embedder', encoded)
    cls, seen = encoded[:, :1], encoded[:, 1:]
    hidden = self.params['mask_token'].reshape(-1)
    grid = []
    for row, keep in zip(seen, visible):
      tokens = iter(row)
      grid.append(
        torch.stack([next(tokens) if kept else hidden for kept in keep])
      )
    grid = torch.stack(grid)
    one_hot = F.one_hot(delta, self.params['delta_embedder/kernel'].shape[0])
    grid = grid + self.dense('delta_embedder', one_hot.to(grid))[:, None]
    grid = grid + sines(grid.shape[1], grid.shape[2])
    x = self.cross_transformer('decoder', torch.cat([cls, grid], 1), context)
    patches = self.dense('detokenizer/Dense_0', x[:, 1:])
    return unpatchify(patches, target.shape[1:3])


def sines(num_positions, width):
  dimension = torch.arange(width, dtype=torch.float64)
  place = torch.arange(num_positions, dtype=torch.float64)[:, None]
  pair = torch.div(dimension, 2, rounding_mode='floor')
  angle = place / 10000 ** (2 * pair / width)
  return torch.where(dimension % 2 == 1, torch.cos(angle), torch.sin(angle))


def patchify(frame, p):
  b, height, width, _ = frame.shape
  frame = frame.reshape(b, height // p, p, width // p, p, 3)
  return frame.permute(0, 1, 3, 2, 4, 5).reshape(b, -1, p * p * 3)


def unpatchify(patches, size):
  height, width = size
  p = round((patches.shape[-1] / 3) ** 0.5)
  grid = patches.reshape(-1, height // p, width // p, p, p, 3)
  return grid.permute(0, 1, 3, 2, 4, 5).reshape(-1, height, width, 3)


def outputs(params, inputs):
  """Everything that a golden file holds of parameters and inputs."""
  params = {
    name: torch.tensor(array, dtype=torch.float64, requires_grad=True)
    for name, array in params.items()
  }
  network = Rvm(params)
  source, target = (
    torch.tensor(inputs[key], dtype=torch.float64)
    for key in ('source', 'target')
  )
  delta, mask = (torch.tensor(inputs[key]) for key in ('target_delta', 'mask'))
  features = network.features(source)
  rebuilt = torch.stack(
    [
      network.rebuild(features, target[:, s], delta[:, s].long(), mask[:, s])
      for s in range(target.shape[1])
    ],
    1,
  )
  loss = ((rebuilt - target) ** 2).mean()
  loss.backward()
  found = {
    'out/features': features,
    'out/state': features[:, -1],
    'out/stream_features': features[0],
    'out/reconstructed': rebuilt,
    'out/loss_all_pixels_l2': loss,
    **{
      f'grad/{name}': param.grad
      for name, param in params.items()
      # A bias of keys moves all of a query's weights alike: its gradient is 0.
      if not name.endswith('/key/bias')
    },
  }
  return {
    name: value.detach().numpy().astype(np.float32)
    for name, value in found.items()
  }


def main(argv):
  if argv:
    arrays = packed.read(argv[0])
    groups = {
      kind: {
        name.removeprefix(kind): array
        for name, array in arrays.items()
        if name.startswith(kind)
      }
      for kind in ('params/', 'in/')
    }
    for name, array in outputs(groups['params/'], groups['in/']).items():
      if name not in arrays:
        continue
      error = np.abs(array - arrays[name]).max() / np.abs(arrays[name]).max()
      print(f'{error:.1e} {name}')
    return
  rng = np.random.default_rng(0)
  params = {}
  for name, shape in released_rvm.shapes(**SMALL):
    values = rng.standard_normal(shape)
    if name.endswith('/kernel'):
      is_out = '/out/' in name or 'Conv' in name
      values /= (np.prod(shape[:-1]) if is_out else shape[0]) ** 0.5
    else:
      values = 0.3 * values + name.endswith('/scale')
    params[name] = values.astype(np.float16)
  grid = (SIZE[0] // PATCH) * (SIZE[1] // PATCH)
  mask = np.ones((BATCH, S, grid), np.int8)
  for row in mask.reshape(-1, grid):
    row[rng.permutation(grid)[:VISIBLE]] = 0
  inputs = {
    'source': rng.random((BATCH, T, *SIZE, 3)).astype(np.float16),
    'target': rng.random((BATCH, S, *SIZE, 3)).astype(np.float16),
    'target_delta': rng.integers(4, 49, (BATCH, S)),
    'mask': mask,
  }
  packed.write(
    pathlib.Path(__file__).with_name('rvm.npz'),
    {
      **{f'params/{name}': array for name, array in params.items()},
      **{f'in/{name}': array for name, array in inputs.items()},
      **outputs(params, inputs),
    },
  )


if __name__ == '__main__':
  main(sys.argv[1:])
