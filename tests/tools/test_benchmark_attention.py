"""The attention benchmark: small errors, and what fails is told."""

from rvmae_jax.tools.benchmark_attention import benchmark_attention


def test_errors_are_those_of_bfloat16_and_failures_are_told():
  found = benchmark_attention(6, ['cudnn', 'xla', 'blockwise'], rows=1, heads=1)
  assert 'cuDNN' in found['cudnn']['failed']  # Here is no GPU.
  for name in ('xla', 'blockwise'):
    # It has 8 bits of mantissa, so results are off by 2**-9 to 2**-7 or so.
    assert 0 < found[name]['forward_error'] < 2**-6
    assert 0 < found[name]['gradient_error'] < 2**-6
  assert found['xla']['ratio'] == 1
  assert found['blockwise']['ratio'] == (
    found['xla']['ms'] / found['blockwise']['ms']
  )
