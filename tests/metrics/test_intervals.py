"""Intervals against numbers of the literature and against simulation."""

import numpy as np
import pytest

from rvmae_jax.metrics.intervals import bootstrap_interval, wilson_interval


def test_wilson_equals_published_numbers():
  # Newcombe 1998, Statistics in Medicine 17, table I, method 3.
  assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
  assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
  assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
  assert wilson_interval(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


def test_all_right_reaches_one_and_still_has_a_width():
  low, high = wilson_interval(10, 10)
  assert high == pytest.approx(1) and low < 0.8


def test_a_share_lies_in_its_interval_to_the_last_bit():
  # Bars of an error must not have a negative length.
  for num in range(1, 50):
    for num_right in range(num + 1):
      low, high = wilson_interval(num_right, num)
      assert 0 <= low <= num_right / num <= high <= 1


def test_the_interval_holds_the_truth_about_95_times_in_100():
  right = np.random.default_rng(0).binomial(50, 0.3, 2000)
  inside = [
    low <= 0.3 <= high for low, high in (wilson_interval(n, 50) for n in right)
  ]
  assert np.mean(inside) == pytest.approx(0.95, abs=0.02)


def test_the_bootstrap_equals_an_independent_one():
  scipy_stats = pytest.importorskip('scipy.stats')
  values = np.random.default_rng(0).exponential(size=12)
  theirs = scipy_stats.bootstrap(
    (values,), np.mean, n_resamples=50_000, method='percentile', rng=1
  ).confidence_interval
  assert bootstrap_interval(values) == pytest.approx(tuple(theirs), abs=0.02)


def test_the_bootstrap_of_two_values_by_hand():
  # Means of pairs are 0, 1/2 and 1, with 1/4, 1/2 and 1/4 of the draws.
  assert bootstrap_interval(np.array([0.0, 1.0])) == (0.0, 1.0)
  assert bootstrap_interval(np.array([0.3, 0.3])) == pytest.approx((0.3, 0.3))
