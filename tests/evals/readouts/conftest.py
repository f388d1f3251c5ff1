"""Tiny data sets for readout heads, beside those of the registries."""

import pytest

from rvmae_jax.data.scenes import BOXES, DEPTH, POINTS
from tests.evals.readouts.readout_tasks import Drawn, Patchwork


@pytest.fixture(autouse=True)
def drawn(monkeypatch):
  """The entries `drawn` and `patchwork` of each table."""
  made = {'drawn': Drawn, 'patchwork': Patchwork}
  for table, kind in ((DEPTH, 'depth'), (POINTS, 'points'), (BOXES, 'boxes')):
    build = table.build
    monkeypatch.setattr(
      table,
      'build',
      lambda config, build=build, kind=kind: (
        made[config['name']](
          kind, **{k: v for k, v in config.items() if k != 'name'}
        )
        if config['name'] in made
        else build(config)
      ),
    )
