import os

from rvmae_jax.benchmarks.loader import benchmark_loader


def test_measures_the_pipeline_and_all_its_stages(noise_config):
  result = benchmark_loader(noise_config, seconds=0.4, batch_size=2)
  assert result['clips_per_s'] > 0
  # A thousand milliseconds of a core, times the cores, are all there is.
  assert 0 < result['cpu_ms'] * result['clips_per_s'] <= 1100 * os.cpu_count()
  assert list(result['stage_ms']) == [
    *('open', 'sample', 'decode', 'augment', 'mask', 'batch')
  ]
  assert min(result['stage_ms'].values()) >= 0
  assert result['num_threads'] == 8  # the pipeline's default
