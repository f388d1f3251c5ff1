"""Bounds by hand: a chip of round numbers."""

import dataclasses

import pytest

from rvmae_jax.tools.planning.bounds import Bounds, run_days, step_bounds
from rvmae_jax.tools.planning.collectives import Collective
from rvmae_jax.tools.planning.work import Work
from rvmae_jax.training.devices import Device

CHIP = Device(
  *('x', 'TPU', 100.0, 1000.0, 10.0, 2.0, 4), clock_hz=1.0, num_cores=2
)
WORK = Work(matrix_flops=600, exponentials=4096 * 5)


def test_each_resource_bounds_alone():
  bounds = step_bounds(
    chip=CHIP,
    num_chips=2,
    flops=400,
    work=WORK,
    state_bytes=5,
    temporary_bytes=10,
    collectives=[Collective('all-reduce', 2, 1, 24)],
    accumulation_steps=3,
  )
  # 400 / 200; 600 / 200; 20480 / (2 * 2 * 1024); 2 * (5 + 3 * 10) / 10;
  # 24 / (4 * 2).
  assert bounds == Bounds(2.0, 3.0, 5.0, 7.0, 3.0)
  assert (bounds.limit, bounds.step_s) == ('memory', 7.0)


def test_devices_of_a_chip_share_its_bandwidth():
  settings = {
    'chip': CHIP,
    'num_chips': 2,
    'flops': 400,
    'work': WORK,
    'state_bytes': 5,
    'temporary_bytes': 10,
    'collectives': [Collective('all-reduce', 2, 1, 24)],
  }
  one = step_bounds(**settings)
  two = step_bounds(**settings, devices_per_chip=2)
  assert two.memory_s == 2 * one.memory_s
  assert two.network_s == 2 * one.network_s
  assert two.widths_s == one.widths_s


def test_machines_are_joined_by_a_slower_network():
  cards = dataclasses.replace(CHIP, kind='H100', machine_link_bytes_per_s=0.5)
  settings = {
    'chip': cards,
    'num_chips': 4,
    'flops': 0,
    'work': Work(0, 0),
    'state_bytes': 0,
    'temporary_bytes': 0,
  }
  # Within: 2 * 12 / 8 of each. Between: 2 * (12 / 2) / 2 at 0.5 a second.
  both = Collective('all-reduce', 4, 1, 24, num_machines=2)
  inside = Collective('all-reduce', 2, 1, 24)
  assert step_bounds(**settings, collectives=[both]).network_s == 24.0
  assert step_bounds(**settings, collectives=[inside]).network_s == 3.0
  many = [both, *9 * [inside]]
  assert step_bounds(**settings, collectives=many).network_s == 30.0


def test_a_chip_alone_waits_for_no_network():
  bounds = step_bounds(
    chip=CHIP,
    num_chips=1,
    flops=100,
    work=Work(150, 0),
    state_bytes=0,
    temporary_bytes=0,
    collectives=[Collective('all-reduce', 2, 1, 24)],
  )
  assert bounds == Bounds(1.0, 1.5, 0.0, 0.0, 0.0)


def test_days_at_a_share_of_the_peak():
  assert run_days(
    Bounds(0.5, 0.6, 0.1, 0.1, 0.2), 86_400, mfu=0.5
  ) == pytest.approx(1.0)
  # The network is slower than that share.
  assert run_days(
    Bounds(0.5, 0.6, 0.1, 0.1, 3.0), 86_400, mfu=0.5
  ) == pytest.approx(3.0)
