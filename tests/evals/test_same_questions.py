"""Every network is asked the same: frames, spans of time, settings."""

import pathlib
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvmae_jax.config_utils import load_config, token_size
from rvmae_jax.data.tracking import TRACKING
from rvmae_jax.evals import EVALS, build_eval, build_evals, spec, unfit_evals
from rvmae_jax.evals.pooling import USUAL_POOLINGS, Pooling
from rvmae_jax.models import MODELS, build_model
from rvmae_jax.parts import rebuilt_frames

_CONFIGS = pathlib.Path(__file__).resolve().parents[2] / 'configs'
# Registered network -> a recipe that trains it.
_RECIPES = {
  'arvideo': 'arvideo.py:variant=tiny,runlocal',
  'classifier': 'from_scratch.py:variant=tiny,runlocal',
  'moco_v3': 'moco_v3.py:variant=tiny,runlocal',
  'rvm': 'rvm_quickstart.py:runlocal',
  'rvmae': 'rvmae.py:variant=tiny,runlocal',
  'siammae': 'siammae.py:variant=tiny,runlocal',
  'videomae': 'videomae.py:variant=tiny,runlocal',
}


class _TenASecond:
  """One video of 40 frames, 0.1 s apart."""

  class_names = ('a', 'b')

  def __len__(self):
    return 1

  def __getitem__(self, index):
    return {
      'path': 'video',
      'label': 0,
      'frames': np.zeros((40, 32, 32, 3), np.uint8),
      'timestamps_s': np.arange(40) / 10,
    }


def test_there_is_a_recipe_for_every_network():
  assert set(_RECIPES) == set(MODELS.names())


@pytest.mark.parametrize('name', _RECIPES)
def test_every_network_sees_the_same_seconds(name, monkeypatch):
  monkeypatch.setattr(
    'rvmae_jax.evals.videos.build_sources', lambda configs: [_TenASecond()]
  )
  run = load_config(f'{_CONFIGS}/{_RECIPES[name]}')
  clip = {'name': 'uniform', 'num_frames': 8, 'step_s': 0.2}
  sources = {'sources': {'ten': {'name': 'fake'}}}
  evaluation = build_eval(
    {
      'name': 'knn',
      'data': {'clip': clip, 'crop': {'size': (64, 64)}},
      'train': sources,
      'test': sources,
      'poolings': USUAL_POOLINGS,
    },
    run_config=run,
    batch_size=1,
  )
  for videos in (evaluation.train, evaluation.test):
    _, frames = videos.first_frames()
    # 1.4 s from the middle of all starts, 0 to 2.5 s.
    np.testing.assert_allclose(frames['video'][1], 1.2 + 0.2 * np.arange(8))
  # Slots of features times what one spans are the frames that were shown, so
  # that spans of poolings, in frames, are the same seconds.
  model = build_model(run.model)
  video = jax.ShapeDtypeStruct((1, 8, 64, 64, 3), jnp.uint8)
  features, _ = jax.eval_shape(
    lambda rng, video: model.init_with_output(rng, video, method='encode'),
    jax.random.key(0),
    video,
  )
  tubelet_size = token_size(run.model)['tubelet_size']
  assert features.shape[1] * tubelet_size == 8
  for pooling in evaluation.poolings:
    Pooling.named(pooling).check(8, tubelet_size)


# Arguments of shipped configs that need some.
_ARGUMENTS = {
  'eval_domain.py': 'videos=DIR,tracked=DIR,labelled=DIR',
  'eval_recognition.py': 'dataset=ssv2',
}


def _resolved(evaluation, entry):
  """A spec without what is the network's, or what the entry takes from its run.

  The former is the size of its tokens. By the word 'run' entries take the size
  of frames, which the two runs share, or what is hidden of which clips.
  """
  found = spec(evaluation)
  for side in evaluation.sides:
    videos = found[side] or {}
    for key in ('patch_size', 'tubelet_size'):
      videos.pop(key, None)
    if 'size' in videos.get('crop', {}):
      videos['crop'] = videos['crop']['size']
    if entry.get('data', {}).get('clip') == 'run':
      del videos['clip'], videos['mask']
      found.pop('gaps', None)
  return found


@pytest.mark.parametrize(
  'name', sorted(p.name for p in _CONFIGS.glob('eval_*'))
)
def test_two_runs_are_asked_the_same(name, monkeypatch):
  """By every shipped config, whatever clips, strides and masks they had."""
  # Nothing is rendered.
  unread = mock.MagicMock(kind='objects', size=(64, 64), top_k=7)
  unread.__len__.return_value = 2
  monkeypatch.setattr(TRACKING, 'build', lambda dataset: unread)
  config = load_config(f'{_CONFIGS}/{name}:{_ARGUMENTS.get(name, "")}')
  found = []
  for recipe in ('rvm', 'videomae'):
    run = load_config(f'{_CONFIGS}/{_RECIPES[recipe]}')
    with run.unlocked():
      run.data.sources = {'videos': {'name': 'moving_sprites'}}
      run.data.crop.size = (32, 32)
    unfit = unfit_evals(config.evals, rebuilt_frames(run))
    evaluations = build_evals(
      {k: v for k, v in config.evals.items() if k not in unfit},
      run_config=run,
      shared=config.data,
      batch_size=2,
    )
    found.append(
      {k: _resolved(v, config.evals[k]) for k, v in evaluations.items()}
    )
  first, second = found
  shared = first.keys() & second.keys()
  assert shared >= {
    k for k, e in config.evals.items() if not _is_about_rebuilding(e)
  }
  for alias in shared:
    assert first[alias] == second[alias], alias


def _is_about_rebuilding(entry):
  return bool(EVALS.get(entry['name']).rebuilds)
