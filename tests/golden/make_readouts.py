"""Makes readouts.npz: a plain PyTorch transcription of the released readouts.

  python -m tests.golden.make_readouts          writes the file beside
  python -m tests.golden.make_readouts FOLDER   compares with a folder's values

Depth, classes, points and boxes, in small. It is written from the papers and
shares nothing with `rvmae_jax`; autograd gives the gradients. Needs torch.
Parameters are kept as float16, which holds them exactly; everything is computed
in float64.
"""

import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F

from tests.golden import packed

BATCH, T, N, C = 2, 4, 3, 6
WIDTH, HEADS, QUERY_WIDTH = 12, 2, 8
FREQUENCIES = 16
FRAMES, PATCH = (4, 16, 24), (2, 8, 8)  # Of the depth map.
# Name -> outputs of a query, learned queries, numbers of a given one, and how
# often it is asked.
READOUTS = {
  'classify': (5, 1, 0, 0),
  'depth': (np.prod(PATCH), 12, 0, 0),
  'points': (8, 0, 3, 2),
  'boxes': (16, 0, 4, 1),
}


def dense(params, name, x):
  return x @ params[f'{name}/kernel'] + params[f'{name}/bias']


def norm(params, name, x):
  x = x - x.mean(-1, keepdim=True)
  x = x / torch.sqrt((x**2).mean(-1, keepdim=True) + 1e-6)
  return x * params[f'{name}/scale'] + params[f'{name}/bias']


def attend(params, features, queries=None):
  """[B, T, N, C] and perhaps [B, Q, D] -> [B, Q, outputs]."""
  tokens = norm(params, 'LayerNorm_0', features)
  tokens = (tokens + params['temporal_posenc/embeddings']).flatten(1, 2)
  if queries is None:
    query = params['query'].flatten(1)[None].expand(len(tokens), -1, -1)
    last = ('Dense_0', 'Dense_1')
  else:
    query = dense(params, 'Dense_0', queries)
    last = ('Dense_1', 'Dense_2')
  answers = []
  for head in range(params['key_embedding/bias'].shape[0]):
    key, value = (
      tokens @ params[f'{role}_embedding/kernel'][:, head]
      + params[f'{role}_embedding/bias'][head]
      for role in ('key', 'value')
    )
    d = key.shape[-1]
    part = query[..., head * d : (head + 1) * d]
    weights = torch.softmax(part @ key.transpose(1, 2) / d**0.5, -1)
    answers.append(weights @ value)
  x = query + dense(params, last[0], torch.cat(answers, -1))
  hidden = dense(params, 'MLP_0/Dense_0', norm(params, 'LayerNorm_1', x))
  x = x + dense(params, 'MLP_0/Dense_1', F.gelu(hidden, approximate='tanh'))
  return dense(params, last[1], x)


def embed(params, queries):
  """Fourier features of all numbers of a query, then an MLP."""
  # Angles are as large as 1e5 and rounded to float32: other sines result.
  pi, queries = torch.tensor(torch.pi), queries.float()
  angles = torch.cat([pi * 2**i * queries for i in range(FREQUENCIES)], -1)
  waves = torch.sin(torch.cat([angles, angles + pi / 2], -1).double())
  name = 'query_initializer/layers_1'
  hidden = F.gelu(dense(params, f'{name}/Dense_0', waves), approximate='tanh')
  return dense(params, f'{name}/Dense_1', hidden)


def inner(params):
  prefix = 'attention_readout/'
  return {
    name.removeprefix(prefix): value
    for name, value in params.items()
    if name.startswith(prefix)
  }


def classify(params, inputs):
  return {'logits': attend(params, inputs['features'])[:, 0]}


def depth(params, inputs):
  target = inputs['target'][..., 0]
  answers = attend(params, inputs['features'])
  found = torch.zeros_like(target)
  t, p, _ = PATCH
  places = [
    (frame, row, column)
    for frame in range(0, target.shape[1], t)
    for row in range(0, target.shape[2], p)
    for column in range(0, target.shape[3], p)
  ]
  for query, (frame, row, column) in enumerate(places):
    block = answers[:, query].reshape(-1, *PATCH)
    found[:, frame : frame + t, row : row + p, column : column + p] = block
  return {'depth': found[..., None], 'l2': ((found - target) ** 2).mean()}


def points(params, inputs):
  queries = embed(params, inputs['query_points'])
  frames = []
  for place in params['temporal_tile_posenc/embeddings']:
    two = attend(inner(params), inputs['features'], queries + place)
    frames += [two[..., :4], two[..., 4:]]
  answers = torch.stack(frames, 1)  # [B, T, Q, 4]
  visible, certain = answers[..., 2:3], answers[..., 3:4]
  return {
    'values': torch.sigmoid(answers[..., :2]),
    'logits_visible': visible,
    'logits_certainty': certain,
    'visible': torch.sigmoid(visible) * torch.sigmoid(certain) > 0.5,
  }


def boxes(params, inputs):
  queries = embed(params, inputs['query_boxes'])
  answers = attend(inner(params), inputs['features'], queries)
  answers = answers.reshape(*answers.shape[:2], -1, 4)
  return {'values': answers.transpose(1, 2)}


def outputs(name, params, inputs):
  """Everything that is kept of one readout's answers."""
  params = {
    key: torch.tensor(value, dtype=torch.float64, requires_grad=True)
    for key, value in params.items()
  }
  inputs = {
    key: torch.tensor(value, dtype=torch.float64)
    for key, value in inputs.items()
  }
  answers = globals()[name](params, inputs)
  found = {f'out/{key}': value for key, value in answers.items()}
  if name == 'depth':
    answers['l2'].backward()
    found |= {f'grad/{key}': value.grad for key, value in params.items()}
  found = {key: value.detach().numpy() for key, value in found.items()}
  return {
    key: value if value.dtype == bool else value.astype(np.float32)
    for key, value in found.items()
  }


def shapes(num_outputs, num_learned, num_given, num_copies):
  """Released name -> shape, of one readout."""
  denses = {'Dense_0': (WIDTH, WIDTH), 'Dense_1': (WIDTH, num_outputs)}
  if num_given:
    denses = {
      'Dense_0': (QUERY_WIDTH, WIDTH),
      'Dense_1': (WIDTH, WIDTH),
      'Dense_2': (WIDTH, num_outputs),
    }
  denses['MLP_0/Dense_0'] = (WIDTH, 4 * WIDTH)
  denses['MLP_0/Dense_1'] = (4 * WIDTH, WIDTH)
  heads = (HEADS, WIDTH // HEADS)
  found = {
    'temporal_posenc/embeddings': (T, 1, C),
    **{f'LayerNorm_0/{kind}': (C,) for kind in ('scale', 'bias')},
    **{f'LayerNorm_1/{kind}': (WIDTH,) for kind in ('scale', 'bias')},
  }
  for role in ('key', 'value'):
    found[f'{role}_embedding/kernel'] = (C, *heads)
    found[f'{role}_embedding/bias'] = heads
  for name, shape in denses.items():
    found[f'{name}/kernel'], found[f'{name}/bias'] = shape, shape[1:]
  if num_learned:
    return {**found, 'query': (num_learned, *heads)}
  found = {f'attention_readout/{name}': shape for name, shape in found.items()}
  for i, width in enumerate((2 * FREQUENCIES * num_given, QUERY_WIDTH)):
    name = f'query_initializer/layers_1/Dense_{i}'
    found[f'{name}/kernel'] = (width, QUERY_WIDTH)
    found[f'{name}/bias'] = (QUERY_WIDTH,)
  if num_copies > 1:
    found['temporal_tile_posenc/embeddings'] = (num_copies, QUERY_WIDTH)
  return found


def drawn(name):
  """Parameters and inputs of one readout."""
  rng = np.random.default_rng(sorted(READOUTS).index(name))
  params = {}
  for key, shape in shapes(*READOUTS[name]).items():
    values = rng.standard_normal(shape)
    if key.endswith('/kernel'):
      values /= shape[0] ** 0.5
    elif key != 'query':
      values = 0.3 * values + key.endswith('/scale')
    params[key] = values.astype(np.float16)
  inputs = {'features': rng.standard_normal((BATCH, T, N, C))}
  if name == 'depth':
    inputs['target'] = rng.uniform(1, 5, (BATCH, *FRAMES, 1))
  if name == 'points':
    inputs['query_points'] = rng.uniform(-1, 1, (BATCH, 3, 3))
  if name == 'boxes':
    inputs['query_boxes'] = rng.uniform(0, 1, (BATCH, 3, 4))
  return params, {key: a.astype(np.float16) for key, a in inputs.items()}


def main(argv):
  if argv:
    for name in READOUTS:
      arrays = dict(np.load(pathlib.Path(argv[0]) / f'{name}.npz'))
      params, inputs = (
        {
          key.removeprefix(kind): array
          for key, array in arrays.items()
          if key.startswith(kind)
        }
        for kind in ('params/', 'in/')
      )
      for key, array in outputs(name, params, inputs).items():
        error = np.abs(array * 1.0 - arrays[key]).max()
        print(f'{error / np.abs(arrays[key]).max():.1e} {name} {key}')
    return
  arrays = {}
  for name in READOUTS:
    params, inputs = drawn(name)
    kept = {
      **{f'params/{key}': array for key, array in params.items()},
      **{f'in/{key}': array for key, array in inputs.items()},
      **outputs(name, params, inputs),
    }
    arrays |= {f'{name}/{key}': array for key, array in kept.items()}
  packed.write(pathlib.Path(__file__).with_name('readouts.npz'), arrays)


if __name__ == '__main__':
  main(sys.argv[1:])
