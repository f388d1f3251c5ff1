"""One run of a comparison: what it does in which order, and what it leaves."""

import json
import types

import jax
import numpy as np
import pytest

from rvmae_jax.data import manifest
from rvmae_jax.data.locking import FolderLock, InUseError
from rvmae_jax.data.sources import SOURCES
from rvmae_jax.tools.comparison import recipes as compare_recipes
from rvmae_jax.tools.comparison import run as compare_run
from rvmae_jax.training.checkpointing import load_params
from tests.tools.tiny_comparison import RECIPE, comparison


@pytest.fixture
def stand_ins(monkeypatch):
  """Training and measuring that take no time; gives the trained recipes."""
  trained = []

  def stand_in(recipe, workdir):
    trained.append(recipe)
    return types.SimpleNamespace(params={})

  cost = {'parameters': 5, 'flops_per_clip': 100, 'gib': 1, 'clips_per_s': 8}
  probe = {'probe': {'metrics': {'top1': 0.5}}}
  monkeypatch.setattr(compare_run, 'train', stand_in)
  monkeypatch.setattr(compare_run, 'measure', lambda *unused: cost)
  monkeypatch.setattr(compare_run, 'evaluate', lambda *_, **__: probe)
  return trained


def test_a_run_spends_its_budget_and_tells_what_it_found(tmp_path, stand_ins):
  result = compare_run.run(comparison(), 'rvm', 1, tmp_path)
  assert [recipe.total_steps for recipe in stand_ins] == [5]
  figures = result['figures']
  assert (figures['clips'], figures['flops']) == (80, 8000)
  assert figures['probe/top1'] == 0.5
  assert json.loads((tmp_path / 'result.json').read_text()) == result


def test_an_untrained_network_spends_nothing(tmp_path, stand_ins):
  methods = {'random': {'recipe': RECIPE, 'is_trained': False}}
  result = compare_run.run(comparison(methods=methods), 'random', 0, tmp_path)
  assert stand_ins == []
  assert result['figures']['flops'] == 0


_AS_RUN = dict.fromkeys(('sources', 'clip', 'crop'), 'run')
_FINETUNE = {
  'recipe': RECIPE,
  'clips': 48.0,
  'classifier': {'num_classes': 5},
  'changes': {
    'batch_size': 4,
    'objective': {'name': 'supervised'},
    'losses': {'pixel_l2': None, 'cross_entropy': 1.0},
    'data': {'clip': {'name': 'uniform', 'num_frames': 4}, 'mask': None},
  },
  'evals': {'accuracy': {'name': 'accuracy', 'data': _AS_RUN}},
}


@pytest.mark.parametrize('is_trained', [True, False])
def test_the_encoder_of_a_run_is_fine_tuned(tmp_path, stand_ins, is_trained):
  methods = {'rvm': {'recipe': RECIPE, 'is_trained': is_trained}}
  config = comparison(methods=methods, finetune=_FINETUNE)
  result = compare_run.run(config, 'rvm', 1, tmp_path)
  tuned = stand_ins[-1]
  assert (tuned.model.name, tuned.model.backbone) == ('classifier', 'rvm')
  assert (tuned.model.num_classes, tuned.model.width) == (5, 32)
  assert (tuned.total_steps, tuned.batch_size, tuned.seed) == (12, 4, 1)
  start = str(tmp_path) if is_trained else ''
  assert tuned.checkpoint.init_from == start
  assert result['figures']['finetune/probe/top1'] == 0.5
  assert list(result['phases']) == [
    'measuring', 'training', 'evaluation', 'fine-tuning'
  ]  # fmt: skip


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'classifier': {'num_classes': 2}}, 'has 4 classes, .*num_classes=2'),
    ({'evals': {'x': {'name': 'acuracy'}}}, "mean 'accuracy'"),
    (
      {'evals': {'x': {**_FINETUNE['evals']['accuracy'], 'num_batch': 1}}},
      "takes no argument 'num_batch'",
    ),
    (
      {
        'evals': {
          'x': {
            'name': 'accuracy',
            'data': {
              **_AS_RUN,
              'sources': {'noise': {'name': 'run', 'num_classes': 9}},
            },
          }
        }
      },
      r'evals\.x.* has 9 classes',
    ),
    ({'changes': {}}, 'sees whole clips; data.mask.name='),
  ],
)
def test_all_stages_are_checked_before_the_first(
  tmp_path, stand_ins, monkeypatch, changes, message
):
  monkeypatch.setattr(compare_run, 'measure', None)  # Not even that.
  config = comparison(finetune={**_FINETUNE, **changes})
  with pytest.raises(ValueError, match=message):
    compare_run.run(config, 'rvm', 0, tmp_path)
  assert not stand_ins


@pytest.mark.parametrize('is_trained', [True, False])
def test_evaluations_know_what_the_run_has_seen(
  tmp_path, stand_ins, monkeypatch, is_trained
):
  config = comparison(
    methods={'rvm': {'recipe': RECIPE, 'is_trained': is_trained}}
  )
  if is_trained:  # As training leaves it.
    recipe = compare_recipes.run_recipe(config, 'rvm', 0)
    manifest.record(tmp_path, recipe.data.sources)
  given = []

  def evaluate(*unused, seen, command):
    given.append(seen)
    return {}

  monkeypatch.setattr(compare_run, 'evaluate', evaluate)
  compare_run.run(config, 'rvm', 0, tmp_path)
  [seen] = given
  if is_trained:
    videos = SOURCES.build(dict(recipe.data.sources.noise))
    assert len(seen.find(videos)) == len(videos) > 0
  else:
    assert seen is None


def test_a_folder_with_another_run_is_refused(tmp_path, stand_ins):
  (tmp_path / 'config.json').write_text('{}')
  with pytest.raises(ValueError, match='other settings; remove it'):
    compare_run.run(comparison(), 'rvm', 0, tmp_path)


def test_two_processes_do_not_meet_in_a_folder(tmp_path, stand_ins):
  with (
    FolderLock(tmp_path, 'compare'),
    pytest.raises(InUseError, match='is in use'),
  ):
    compare_run.run(comparison(), 'rvm', 0, tmp_path)


@pytest.mark.slow
def test_a_real_run_fine_tunes_what_it_trained_and_can_be_repeated(tmp_path):
  changes = {
    **_FINETUNE['changes'],
    'batch_size': 8,
    # Nothing moves: what is left is what it started from.
    'optimizer': {'lr_per_256': 0.0},
  }
  config = comparison(
    methods={'rvm': {'recipe': RECIPE}},
    shared={'batch_size': 8},
    budget={'unit': 'clips', 'amount': 16.0},
    measure_s=0.1,
    finetune={
      **_FINETUNE,
      'clips': 8.0,
      'changes': changes,
      'evals': {
        'accuracy': {
          'name': 'accuracy',
          'data': {
            **_AS_RUN,
            'sources': {'noise': {'name': 'run', 'split': 'test'}},
          },
        }
      },
    },
  )
  result = compare_run.run(config, 'rvm', 0, tmp_path)
  assert 0 <= result['figures']['finetune/accuracy/top1'] <= 1
  trained, _ = load_params(tmp_path)
  tuned, _ = load_params(tmp_path / 'finetune')
  for name in ('encoder', 'core'):
    jax.tree.map(
      np.testing.assert_array_equal, tuned['backbone'][name], trained[name]
    )
  again = compare_run.run(config, 'rvm', 0, tmp_path)
  assert again['figures'] == result['figures']
