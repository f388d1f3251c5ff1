"""The recipe of readout heads asks every run the same."""

import pathlib

import pytest

from rvmae_jax.config_utils import load_config
from rvmae_jax.evals import build_evals, spec

_CONFIGS = pathlib.Path(__file__).resolve().parents[3] / 'configs'


@pytest.mark.parametrize('dataset', ['parallax', 'sprites', 'tap_vid'])
def test_the_recipe_asks_two_runs_the_same(dataset):
  arguments = {'tap_vid': ',path=DAVIS.pkl'}.get(dataset, '')
  config = load_config(
    f'{_CONFIGS}/eval_readouts.py:dataset={dataset}{arguments}'
  )
  specs = []
  for recipe in ('rvm_quickstart.py', 'videomae.py'):
    run = load_config(f'{_CONFIGS}/{recipe}:runlocal')
    evaluations = build_evals(
      config.evals, run_config=run, shared=config.data, batch_size=8
    )
    specs.append({alias: spec(e) for alias, e in evaluations.items()})
    for of_videos in specs[-1].values():
      for key in ('patch_size', 'tubelet_size'):
        del of_videos['videos'][key]
  assert specs[0] == specs[1]
  assert ('depth' in specs[0]) == (dataset == 'parallax')
  assert evaluations['points_zero_shot'].num_trainings == 0


@pytest.mark.parametrize(
  ('argument', 'message'),
  [
    ('dataset=paralax', "mean 'parallax'"),
    ('dataset=waymo', 'dataset=waymo needs path'),
    ('learns=everything', "value of learns 'everything'"),
    ('dataset=tap_vid,path=D.pkl,learns=all', 'add train='),
  ],
)
def test_the_recipe_says_what_is_missing(argument, message):
  with pytest.raises(ValueError, match=message):
    load_config(f'{_CONFIGS}/eval_readouts.py:{argument}')


def test_networks_learn_too_where_they_are_asked_to():
  config = load_config(f'{_CONFIGS}/eval_readouts.py:learns=all')
  assert {e.learns for e in config.evals.values()} == {'all'}
  assert {e.encoders for e in config.evals.values()} == {('trained', 'random')}


@pytest.mark.parametrize(
  ('argument', 'heads'),
  [
    ('dataset=tap_vid,path=D.pkl,train=K.pkl', {'points', 'points_zero_shot'}),
    ('dataset=tap_vid,path=D.pkl', {'points_zero_shot'}),
    ('dataset=perception_test,path=D', {'points', 'points_zero_shot', 'boxes'}),
    ('dataset=scannet,path=D', {'depth'}),
    ('dataset=waymo,path=D', {'boxes'}),
  ],
)
def test_published_sets_are_asked_what_they_know(argument, heads):
  config = load_config(f'{_CONFIGS}/eval_readouts.py:{argument}')
  run = load_config(f'{_CONFIGS}/rvm_pretrain.py:runlocal')
  evaluations = build_evals(
    config.evals, run_config=run, shared=config.data, batch_size=8
  )
  assert set(evaluations) == heads
  for evaluation in evaluations.values():
    assert evaluation.videos.size == (224, 224)
    if evaluation.trains:
      assert evaluation.train != evaluation.test
