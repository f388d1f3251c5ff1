"""A run that collapses is told; one that learns is not."""

import jax.numpy as jnp
import numpy as np
import pytest

from rvmae_jax.objectives.statistics import network_metrics
from rvmae_jax.training.health import Watch, find_problems

# After 300 to 600 steps of 16 clips of sprites; docs/runs.md has more.
HEALTHY = {
  'core/gate_saturation': 0.12,
  'core/update_gate': 0.49,
  'core/state_change': 0.7,
  'features/deviation': 0.1,
  'features/rank': 4.0,
  'pixel_l2': 0.01,
}


def names(metrics, losses=None, **options):
  found = find_problems({**HEALTHY, **metrics}, losses or {}, **options)
  return [problem.name for problem in found]


@pytest.mark.parametrize(
  ('name', 'bad'),
  [
    ('core/gate_saturation', 0.9),
    ('core/update_gate', 0.01),
    ('core/update_gate', 0.99),
    ('core/state_change', 0.01),
    ('features/deviation', 1e-5),
    ('features/rank', 1.0),
  ],
)
def test_each_sign_is_told_with_its_figure(name, bad):
  [problem] = find_problems({**HEALTHY, name: bad}, {})
  assert problem.name == name
  assert f'{name} is {bad:.3g}' in problem.text
  assert problem.remedy


@pytest.mark.parametrize('broken', ['state', 'clips', 'rank'])
def test_networks_that_have_collapsed(broken):
  """What such networks give, and in it the signs of it."""
  rng = np.random.default_rng(0)
  features = rng.normal(size=(8, 6, 5, 16))  # [B, T, N, D]
  if broken == 'state':  # It keeps what it wrote at the first frame.
    features = features[:, :1] + 1e-3 * features
  if broken == 'clips':  # All clips are one.
    features = features[:1] + 1e-6 * features
  if broken == 'rank':  # Clips differ in length alone.
    features = features[:1] * (1 + np.arange(8)).reshape(8, 1, 1, 1)
  gates = jnp.full((8, 6, 5), 0.4)
  stats = {
    'update_gate': gates,
    'reset_gate': gates,
    'gate_saturation': gates[..., 0],
    'state_norm': gates[..., 0],
  }
  metrics = network_metrics({'features': features, 'stats': stats})
  want = {
    'state': 'core/state_change',
    'clips': 'features/deviation',
    'rank': 'features/rank',
  }
  found = [problem.name for problem in find_problems(metrics, {})]
  assert found == [want[broken]]


def test_a_healthy_step_has_no_sign():
  assert names({}, {'pixel_l2': 1.0}) == []


def test_what_is_not_logged_is_no_sign():
  assert find_problems({}, {'pixel_l2': 1.0}) == []


def test_gates_that_a_core_does_not_have_are_no_sign():
  wide_open = {'core/gate_saturation': 1.0, 'core/update_gate': 1.0}
  assert names(wide_open) == ['core/gate_saturation', 'core/update_gate']
  assert names(wide_open, core_kind='ungated') == []


@pytest.mark.parametrize(
  ('value', 'weight', 'want'),
  [
    (0.22, 0.1, []),  # 0.022 of 0.032: 69 %
    (1.0, 0.1, ['losses/temporal_l1']),  # 0.1 of 0.11: 91 %
    (-1.0, 0.1, ['losses/temporal_l1']),
    (0.0, 0.1, []),  # Pixels may be all.
    (1.0, 0.0, []),  # Turned off.
  ],
)
def test_a_term_that_swamps_the_others(value, weight, want):
  losses = {'pixel_l2': 1.0, 'temporal_l1': weight}
  assert names({'temporal_l1': value}, losses) == want


def test_one_odd_step_is_passed_over():
  watch = Watch({})
  still = {**HEALTHY, 'core/state_change': 0.001}
  assert watch.update(10, still) == []
  assert watch.update(20, HEALTHY) == []
  assert watch.update(30, still) == []
  assert watch.spans == []


def test_what_lasts_is_told_once_and_its_span_is_kept():
  watch = Watch({})
  still = {**HEALTHY, 'core/state_change': 0.001}
  told = [
    len(watch.update(step, metrics))
    for step, metrics in enumerate([HEALTHY, still, still, still, HEALTHY])
  ]
  assert told == [0, 0, 1, 0, 0]
  [span] = watch.spans
  assert (span.first_step, span.last_step) == (1, 3)
  # Should it come again, it is told again.
  assert [len(watch.update(step, still)) for step in (5, 6)] == [0, 1]
  assert len(watch.spans) == 2
