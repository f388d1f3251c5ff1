"""Names and shapes of the arrays in released RVM files, written out."""

from collections.abc import Iterator
from typing import NamedTuple


class Stack(NamedTuple):
  """A stack of transformer blocks."""

  blocks: int
  heads: int
  mlp: int


# Of the paper's table; the decoder is the same for all.
SIZES = {
  'S': {'width': 384, 'encoder': Stack(12, 6, 1536), 'core': Stack(4, 8, 2048)},
  'B': {
    'width': 768,
    'encoder': Stack(12, 12, 3072),
    'core': Stack(4, 12, 3072),
  },
  'L': {
    'width': 1024,
    'encoder': Stack(24, 16, 4096),
    'core': Stack(4, 16, 4096),
  },
  'H': {
    'width': 1280,
    'encoder': Stack(32, 16, 5120),
    'core': Stack(4, 16, 5120),
  },
}


DECODER = Stack(8, 16, 2048)


def shapes(
  width: int,
  encoder: Stack,
  core: Stack,
  decoder_width: int = 512,
  decoder: Stack = DECODER,
  patch: int = 16,
) -> Iterator[tuple[str, tuple[int, ...]]]:
  """Name and shape of each array of a network."""
  yield 'cls_token', (1, width)
  yield 'mask_token', (1, decoder_width)
  conv = 'tokenizer/patch_embedding/Conv_0'
  yield f'{conv}/kernel', (1, patch, patch, 3, width)
  yield f'{conv}/bias', (width,)
  for i in range(encoder.blocks):
    block = f'encoder/layers_{i}'
    yield from _norm(f'{block}/attention_norm', width)
    yield from _attention(f'{block}/attention', width, encoder.heads)
    yield from _norm(f'{block}/mlp_norm', width)
    yield from _mlp(f'{block}/mlp', width, encoder.mlp)
  yield from _norm('encoder/LayerNorm_0', width)
  for gate in ('update', 'reset'):
    for half in ('input', 'state'):
      yield f'rnn_core/{half}_{gate}/kernel', (width, width)
  yield 'rnn_core/state_layer_norm/scale', (width,)
  yield from _cross_transformer('rnn_core/transformer', width, core)
  yield from _dense('decoder_embedder', width, decoder_width)
  yield from _dense('delta_embedder', 64, decoder_width)
  yield from _cross_transformer('decoder', decoder_width, decoder)
  yield from _dense('detokenizer/Dense_0', decoder_width, patch * patch * 3)


def _dense(name, *shape):
  yield f'{name}/kernel', shape
  yield f'{name}/bias', shape[1:]


def _norm(name, width):
  yield f'{name}/scale', (width,)
  yield f'{name}/bias', (width,)


def _attention(name, width, heads):
  for role in ('query', 'key', 'value'):
    yield from _dense(f'{name}/{role}', width, heads, width // heads)
  yield f'{name}/out/kernel', (heads, width // heads, width)
  yield f'{name}/out/bias', (width,)


def _mlp(name, width, hidden):
  yield from _dense(f'{name}/dense_in', width, hidden)
  yield from _dense(f'{name}/dense_out', hidden, width)


def _cross_transformer(name, width, stack):
  for i in range(stack.blocks):
    block = f'{name}/xa_blocks_{i}'
    for part in ('ca_attention', 'attention'):
      yield from _norm(f'{block}/{part}_norm', width)
      yield from _attention(f'{block}/{part}', width, stack.heads)
    yield from _norm(f'{block}/mlp_norm', width)
    yield from _mlp(f'{block}/mlp', width, stack.mlp)
  yield from _norm(f'{name}/output_norm', width)
