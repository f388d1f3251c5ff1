"""The command: what it refuses."""

import types

from ml_collections import ConfigDict

from rvmae_jax.tools import plan


def test_a_file_that_would_not_be_written_is_refused(tmp_path, capsys):
  args = types.SimpleNamespace(
    config=ConfigDict({'batch_size': 8, 'total_steps': 1}),
    topology='v6e:2x2',
    global_batch=0,
    steps=0,
    mfu=0.4,
    against=['batch_size=16'],
    json=str(tmp_path / 'plan.json'),
  )
  assert plan.main(args) == 2
  assert 'plan: --json holds a plan; --against' in capsys.readouterr().err
