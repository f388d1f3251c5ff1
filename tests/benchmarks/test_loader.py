import os

import ml_collections

from rvmae_jax.benchmarks.loader import benchmark_loader


def test_measures_the_pipeline_and_all_its_stages():
  config = ml_collections.ConfigDict(
    {
      'seed': 0,
      'model': {'patch_size': 4},
      'data': {
        'sources': {'noise': {'name': 'fake', 'num_videos': 4}},
        'clip': {'name': 'source_target', 'num_target': 2},
        'crop': {'size': (8, 12)},
        'mask': {'name': 'target', 'ratio': 0.5},
      },
    }
  )
  result = benchmark_loader(config, seconds=0.4, batch_size=2)
  assert result['clips_per_s'] > 0
  # A thousand milliseconds of a core, times the cores, are all there is.
  assert 0 < result['cpu_ms'] * result['clips_per_s'] <= 1100 * os.cpu_count()
  assert list(result['stage_ms']) == [
    *('open', 'sample', 'decode', 'augment', 'mask', 'batch')
  ]
  assert min(result['stage_ms'].values()) >= 0
  assert result['num_threads'] == 8  # the pipeline's default
