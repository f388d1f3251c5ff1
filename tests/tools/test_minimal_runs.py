"""A run that sets the least of each recipe has a report and a card, too."""

import pytest

from rvmae_jax.config_utils import load_config, to_json
from rvmae_jax.parts import build_parts
from rvmae_jax.tools import model_card
from rvmae_jax.tools.report import write_report
from tests.test_configs import RECIPES

# What training does without, by part of the config ('' is its top).
OPTIONAL = {
  '': ('perceptual_checkpoint', 'ema_schedule'),
  'model': ('variant', 'dtype', 'attention', 'remat', 'core_remat'),
  'objective': ('patches', 'normalize', 'pixel_mean', 'pixel_std'),
  'optimizer': ('name', 'clip_norm', 'b2', 'layer_decay'),
  'schedule': ('name', 'warmup_steps'),
  'data': ('repeats', 'mixing', 'augmentations', 'flow'),
}


def minimal(config):
  config = config.copy_and_resolve_references().unlock()
  for part, names in OPTIONAL.items():
    settings = config[part] if part else config
    for name in set(names) & set(settings):
      del settings[name]
  if not config.data.get('mask'):
    del config.data['mask']
  if 'scan_layers' in config.model:
    config.model.scan_layers = True  # Traces one block of each stack, not all.
  return config


@pytest.mark.parametrize('path', RECIPES, ids=lambda path: path.stem)
def test_the_least_of_a_recipe_is_reported(path, tmp_path, monkeypatch):
  config = minimal(load_config(f'{path}:runlocal'))
  parts = build_parts(config)  # It trains.
  monkeypatch.setattr(model_card, 'build_parts', lambda config: parts)
  (tmp_path / 'config.json').write_text(to_json(config))
  write_report(tmp_path, None, tmp_path / 'report.html')
  name = config.model.name.upper()
  assert f'<h1>{name}</h1>' in (tmp_path / 'report.html').read_text()
  assert model_card.write_card(tmp_path).startswith(f'# {name}\n')
