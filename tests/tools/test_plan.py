"""The command: what it refuses."""

import types

import pytest
from ml_collections import ConfigDict

from rvmae_jax.tools import plan


@pytest.mark.parametrize(
  'asked', [{'json': 'plan.json'}, {'operations': 5}], ids=str
)
def test_what_a_comparison_does_not_give_is_refused(asked, capsys):
  args = types.SimpleNamespace(
    config=ConfigDict({'batch_size': 8, 'total_steps': 1}),
    topology='v6e:2x2',
    global_batch=0,
    steps=0,
    mfu=0.4,
    against=['batch_size=16'],
    **{'json': '', 'operations': 0, **asked},
  )
  assert plan.main(args) == 2
  assert 'plan: --json and --operations need a plan' in capsys.readouterr().err
