"""What is not about a run is left out, with a reason."""

from rvmae_jax.evals import unfit_evals

_ENTRIES = {
  'ahead': {'name': 'reconstruction', 'gaps': (1, 2)},
  'clips': {'name': 'clip_reconstruction'},
  'gates': {'name': 'recurrence'},
  'probe': {'name': 'linear_probe'},
}


def test_each_kind_of_run_keeps_its_own():
  assert set(unfit_evals(_ENTRIES, 'target')) == {'clips'}
  assert set(unfit_evals(_ENTRIES, 'video')) == {'ahead', 'gates'}
  assert set(unfit_evals(_ENTRIES, '')) == {'ahead', 'clips', 'gates'}


def test_the_reason_names_both_sides():
  reason = unfit_evals(_ENTRIES, 'video')['ahead']
  assert reason == (
    'it measures rebuilt target frames, but this run rebuilds hidden parts of '
    'clips'
  )
