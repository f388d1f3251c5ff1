"""Evaluations beside training: what is checked before the first step."""

import json
import pathlib

import pytest

from rvmae_jax.config_utils import load_config
from rvmae_jax.evals.schedule import ScheduledEvals

QUICKSTART = pathlib.Path(__file__).parents[2] / 'configs/rvm_quickstart.py'


def _shards(folder, **num_videos):
  """What tools/prepare says of so many videos by split, without the videos."""
  splits = {
    name: {'shards': [{'file': f'{name}-00000', 'num_videos': number}]}
    for name, number in num_videos.items()
  }
  for name in splits:
    (folder / f'{name}-00000').touch()
  manifest = {'class_names': [], 'splits': splits}
  (folder / 'manifest.json').write_text(json.dumps(manifest))
  return str(folder)


def _build(shards, **every_steps):
  config = load_config(f'{QUICKSTART}:shards={shards}')
  for alias, number in every_steps.items():
    config.evals[alias].every_steps = number
  return ScheduledEvals(
    config.evals,
    total_steps=config.total_steps,
    run_config=config,
    batch_size=4,
  )


@pytest.mark.parametrize(
  ('splits', 'message'),
  [
    ({}, r"evals\.knn\.test .* no split 'test' .* has train\. .* needs three"),
    ({'test': 1}, r"evals\.reconstruction\.videos .* no split 'val'"),
    ({'val': 0, 'test': 1}, r'reconstruction\.videos .* holds no video'),
  ],
)
def test_a_split_without_videos_is_told_before_the_first_step(
  tmp_path, monkeypatch, splits, message
):
  reader = 'rvmae_jax.data.sources.shards.ArrayRecordDataSource'
  monkeypatch.setattr(reader, list)
  with pytest.raises(ValueError, match=message):
    _build(_shards(tmp_path, train=2, **splits))


def test_splits_that_are_there_will_do(tmp_path, monkeypatch):
  reader = 'rvmae_jax.data.sources.shards.ArrayRecordDataSource'
  monkeypatch.setattr(reader, list)
  evaluations = _build(_shards(tmp_path, train=2, val=1, test=1))
  assert evaluations.due(400) == ['reconstruction']
  assert evaluations.due(2400) == ['knn', 'reconstruction']


def test_what_is_never_due_needs_no_videos(tmp_path, monkeypatch):
  reader = 'rvmae_jax.data.sources.shards.ArrayRecordDataSource'
  monkeypatch.setattr(reader, list)
  evaluations = _build(_shards(tmp_path, train=2, val=1), knn=0)
  assert evaluations.due(1200) == ['reconstruction']
  assert evaluations.due(2400) == ['reconstruction']
