"""The peak: makers' figures where they are known, else a measurement."""

import types

import numpy as np
import pytest

from rvmae_jax.benchmarks import peak


def _mesh(kind):
  """Two devices that call themselves so."""
  device = types.SimpleNamespace(device_kind=kind)
  return types.SimpleNamespace(devices=np.array([device, device]), size=2)


def test_of_known_devices_the_makers_figure_counts():
  found = peak.peak_of(_mesh('NVIDIA H200'), 'bfloat16')
  assert found == (2 * 989e12, False)


@pytest.mark.parametrize('kind', ['NVIDIA H200', 'cpu'])
def test_else_it_is_measured(kind, monkeypatch):
  monkeypatch.setattr(peak, 'measured_flops_per_s', lambda mesh, dtype: 7.0)
  dtype = 'float32' if 'H200' in kind else 'bfloat16'
  found = peak.peak_of(_mesh(kind), dtype)
  assert found == (7.0, True)
