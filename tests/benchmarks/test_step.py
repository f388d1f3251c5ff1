"""The step benchmark: configs measured in turn, figures that fit together."""

import pathlib

import pytest

from rvmae_jax.benchmarks import step
from rvmae_jax.benchmarks.measurement import format_table
from rvmae_jax.config_utils import load_config, with_values
from rvmae_jax.parts import build_parts

RECIPE = str(pathlib.Path(__file__).parents[1] / 'tiny_recipe.py')


@pytest.fixture(scope='module', name='results')
def _results(quick_steps):
  config = load_config(RECIPE)
  config.unlock().model.attention = 'auto'
  changes = ('batch_size=16', 'model.attention=cudnn')
  configs = {'as given': config} | {
    text: with_values(config, text) for text in changes
  }
  return step.benchmark_step(configs, seconds=0.5)


def test_figures_follow_from_the_time_of_a_step(results):
  flops = build_parts(load_config(RECIPE)).flops_per_clip
  for batch_size, result in zip((8, 16), results.values()):
    step_s = result['step_ms'] / 1e3
    assert result['clips_per_s'] == pytest.approx(batch_size / step_s)
    assert result['model_tflops_per_s'] == pytest.approx(
      flops * batch_size / step_s / 1e12
    )
    low, high = result['step_ms_range']
    assert low <= result['step_ms'] <= high
  assert results['as given']['speed_ratio'] == 1


def test_larger_batches_need_more_memory(results):
  assert results['batch_size=16']['gib'] > results['as given']['gib'] > 0


def test_mfu_is_of_a_measured_peak_where_none_is_known(results):
  result = results['as given']
  assert result['peak_is_measured']
  assert result['mfu'] == pytest.approx(
    result['model_tflops_per_s'] / result['peak_tflops_per_s']
  )
  assert 0 < result['mfu'] < 1


def test_one_that_fails_does_not_end_the_others(results):
  assert list(results['model.attention=cudnn']) == ['failed']
  assert results['batch_size=16']['speed_ratio'] > 0


def test_table_has_a_row_for_each_config(results):
  header, *rows = format_table(results, step.COLUMNS).splitlines()
  assert header.split()[:2] == ['clips/s', 'ratio']
  assert [row.split()[0] for row in rows] == ['as', *list(results)[1:]]
  assert 'failed: ' in rows[-1]
