"""The streaming benchmark: figures that fit together."""

import pytest
from ml_collections import ConfigDict

from rvmae_jax.benchmarks.stream import benchmark_stream


def test_figures_follow_from_the_times():
  model = ConfigDict({'name': 'rvm', 'variant': 'tiny', 'patch_size': 8})
  results = benchmark_stream(model, (16, 16), 2, frames_a_round=3)
  assert list(results) == ['stream', 'plain transcription']
  for figures in results.values():
    assert figures['p50_ms'] <= figures['p95_ms']
    assert figures['frames_per_s'] == pytest.approx(2e3 / figures['p50_ms'])
    assert figures['ratio'] == pytest.approx(
      results['plain transcription']['p50_ms'] / figures['p50_ms']
    )
    assert figures['allowed'] > 0
