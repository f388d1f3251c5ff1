"""The benchmark by part: the parts make up the whole."""

import pathlib

import jax
import pytest

from rvmae_jax.benchmarks import parts as benchmark
from rvmae_jax.config_utils import load_config
from rvmae_jax.parts import build_parts

RECIPE = str(pathlib.Path(__file__).parents[1] / 'tiny_recipe.py')
# A recipe of every model that has a decoder, and its parts.
RECIPES = {
  'rvm_pretrain.py': ['encoder', 'core', 'decoder'],
  'rvmae.py': ['encoder', 'decoder'],
  'siammae.py': ['encoder', 'decoder'],
  'videomae.py': ['encoder', 'decoder'],
  'arvideo.py': ['encoder', 'decoder'],
}


@pytest.mark.parametrize('recipe', RECIPES)
def test_flops_of_parts_sum_to_the_whole(recipe):
  parts = build_parts(load_config(f'configs/{recipe}:variant=tiny,runlocal'))
  found = benchmark.flops_by_part(parts)
  assert list(found) == RECIPES[recipe]
  assert sum(found.values()) == parts.flops_per_clip


def test_a_model_without_decoder_is_refused():
  parts = build_parts(load_config('configs/moco_v3.py:variant=tiny,runlocal'))
  with pytest.raises(ValueError, match='MoCoV3 has no decoder'):
    benchmark.flops_by_part(parts)


def test_beginnings_leave_out_what_comes_after():
  """XLA counts in each what the formula says of its parts."""
  config = load_config(RECIPE)
  # XLA counts loop bodies once, and what is computed again.
  config.unlock().model.update(time_unroll=2, core_remat='none')
  parts = build_parts(config)
  of_parts = benchmark.flops_by_part(parts)
  batch_size, wanted = config.batch_size, 0
  for name, function in benchmark._beginnings(parts).items():
    shape = jax.eval_shape(function, parts.shapes.params, parts.spec)
    gradient = jax.jit(benchmark._gradient(function))
    compiled = gradient.lower(parts.shapes.params, parts.spec, shape).compile()
    wanted += batch_size * of_parts[name]
    # Norms and the like are a tenth of a network this small.
    assert compiled.cost_analysis()['flops'] == pytest.approx(wanted, rel=0.15)


def test_times_of_parts_sum_to_the_step(quick_steps, monkeypatch, capsys):
  monkeypatch.setattr(benchmark, '_NUM_ROUNDS', 1)
  result = benchmark.benchmark_parts(load_config(RECIPE), seconds=0.1)
  rows = dict(result['parts'])
  del rows['input']
  step = rows.pop('step')
  assert list(rows) == ['encoder', 'core', 'decoder', 'update', 'unexplained']
  assert sum(r['ms'] for r in rows.values()) == pytest.approx(step['ms'])
  assert sum(r['share'] for r in rows.values()) == pytest.approx(1)
  benchmark.print_table(result)
  assert capsys.readouterr().out.count('\n') == 1 + 7 + 2
