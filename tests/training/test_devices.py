"""Chips are found by what JAX calls them, and by short names."""

import pytest

from rvmae_jax.training import devices


@pytest.mark.parametrize(
  ('kind', 'name'),
  [
    ('TPU v6 lite', 'v6e'),
    ('TPU v5 lite', 'v5e'),
    ('TPU v5', 'v5p'),
    ('TPU v4', 'v4'),
    ('NVIDIA H200', 'h200'),
    ('NVIDIA H100 PCIe', 'h100pcie'),
    ('NVIDIA H100 80GB HBM3', 'h100'),
    ('NVIDIA A100-SXM4-80GB', 'a100'),
  ],
)
def test_found_by_kind_and_by_name(kind, name):
  assert devices.of_kind(kind) == devices.by_name(name)


def test_unknown_ones():
  assert devices.of_kind('cpu') is None
  with pytest.raises(ValueError, match=r"'v9'; known are v6e, v5e, v5p"):
    devices.by_name('v9')


def test_a_chip_sends_over_all_links():
  assert devices.by_name('v6e').network_bytes_per_s == 360e9
