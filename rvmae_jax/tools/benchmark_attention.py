"""Compares implementations of attention on this device: errors and speed.

  python -m rvmae_jax.tools.benchmark_attention [--tokens 197,257,1028,1568] \\
    [--implementations xla,blockwise,cudnn] [--rows 64] [--heads 12]

Self-attention on random bfloat16 tokens, heads of 64: the largest error of the
output and of the three gradients, as a share of the largest value, against XLA
in float32 on the same numbers; milliseconds forward and backward; speed as a
ratio to the first implementation's. One that fails is reported. The last line
is the result as JSON.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from absl import app, flags

from rvmae_jax.layers.attention import dot_product_attention
from rvmae_jax.tools.benchmarks.measurement import print_result

_HEAD_WIDTH = 64
_TIMES = 10


def benchmark_attention(
  num_tokens: int, implementations: Sequence[str], rows: int, heads: int
) -> dict[str, dict[str, Any]]:
  """Measures implementations at one length.

  Args:
    num_tokens: queries and keys.
    implementations: of `layers.attention.IMPLEMENTATIONS`.
    rows: of the batch.
    heads: of attention.

  Returns:
    Implementation -> `forward_error`, `gradient_error`, `ms`, `ratio`; of one
    that failed, `failed` alone: why.
  """
  shape = (rows, num_tokens, heads, _HEAD_WIDTH)
  *tokens, cotangent = (
    jax.random.normal(key, shape, jnp.bfloat16)
    for key in jax.random.split(jax.random.key(0), 4)
  )
  with jax.default_matmul_precision('highest'):
    wide = [x.astype(jnp.float32) for x in (*tokens, cotangent)]
    wanted = jax.block_until_ready(_forward_backward('xla')(*wide))
  results = {}
  for name in implementations:
    run = _forward_backward(name)
    try:
      found = jax.block_until_ready(run(*tokens, cotangent))
    except (RuntimeError, ValueError) as error:
      results[name] = {'failed': str(error).strip().splitlines()[0]}
      continue
    output, *gradients = map(_relative_error, found, wanted)
    results[name] = {
      'forward_error': output,
      'gradient_error': max(gradients),
      'ms': 1e3 * _median_s(lambda run=run: run(*tokens, cotangent)),
    }
    first = next(r for r in results.values() if 'ms' in r)
    results[name]['ratio'] = first['ms'] / results[name]['ms']
  return results


def _forward_backward(implementation: str) -> Callable[..., Any]:
  """(query, key, value, cotangent) -> output and three gradients, compiled."""

  @jax.jit
  def run(query, key, value, cotangent):
    output, pull_back = jax.vjp(
      lambda *tokens: dot_product_attention(
        *tokens, implementation=implementation
      ),
      *(query, key, value),
    )
    return output, *pull_back(cotangent)

  return run


def _relative_error(found: jax.Array, wanted: jax.Array) -> float:
  error = jnp.abs(found.astype(jnp.float32) - wanted).max()
  return float(error / jnp.abs(wanted).max())


def _median_s(run: Callable[[], Any]) -> float:
  seconds = []
  for _ in range(_TIMES):
    start = time.perf_counter()
    jax.block_until_ready(run())
    seconds.append(time.perf_counter() - start)
  return statistics.median(seconds)


def main(argv: list[str]) -> None:
  """Runs the command."""
  if argv[1:]:
    raise app.UsageError(f'Unexpected arguments: {argv[1:]}.')
  args = flags.FLAGS
  results = {}
  for num_tokens in map(int, args.tokens):
    found = benchmark_attention(
      num_tokens, args.implementations, args.rows, args.heads
    )
    for name, figures in found.items():
      results[f'{num_tokens} {name}'] = figures
      texts = (
        f'{key} {value:.3g}' if isinstance(value, float) else f'{key}: {value}'
        for key, value in figures.items()
      )
      print(f'{num_tokens:6} {name:10}', *texts, flush=True)
  print_result(results)


if __name__ == '__main__':
  flags.DEFINE_list(
    'tokens', ['197', '257', '1028', '1568'], 'Numbers of tokens.'
  )
  flags.DEFINE_list(
    'implementations',
    ['xla', 'blockwise', 'cudnn'],
    'Speed is relative to the first.',
  )
  flags.DEFINE_integer('rows', 64, 'Rows in the batch.')
  flags.DEFINE_integer('heads', 12, 'Attention heads.')
  app.run(main)
