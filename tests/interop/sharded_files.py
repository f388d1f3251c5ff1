"""Weights in several files, as Hugging Face's libraries save large networks."""

import json

from rvmae_jax.interop import safetensors, torch_files


def write_sharded(index, arrays, num_files):
  """Spreads arrays over files beside an index; returns the files."""
  stem, suffix = index.name.removesuffix('.index.json').rsplit('.', 1)
  write = {'safetensors': safetensors, 'bin': torch_files}[suffix].write
  weight_map = {}
  for i in range(num_files):
    name = f'{stem}-{i + 1:05d}-of-{num_files:05d}.{suffix}'
    part = dict(list(arrays.items())[i::num_files])
    write(index.with_name(name), part)
    weight_map |= dict.fromkeys(part, name)
  index.write_text(json.dumps({'metadata': {}, 'weight_map': weight_map}))
  return sorted({index.with_name(name) for name in weight_map.values()})
