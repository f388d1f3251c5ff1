"""PCK against golden values and against distances measured by hand."""

import numpy as np
import pytest

from rvmae_jax.metrics.keypoints import keypoint_errors, pck
from tests.golden import plain_tracking


def test_golden_poses(shared_dir):
  golden = np.load(shared_dir / 'golden/propagation/cases.npz')
  visible = golden['metrics/visible'].astype(bool)
  true = np.where(visible[..., None], golden['metrics/gt_poses'], np.nan)
  errors = keypoint_errors(golden['metrics/pred_poses'], true)
  # [videos, T, K] -> [frames, K], the given first frames left out.
  measured = pck(errors[:, 1:].reshape(-1, 15))
  np.testing.assert_allclose(
    100 * np.array(measured), golden['metrics/pck_at_1_to_5'], rtol=1e-9
  )


def test_poses_of_the_plain_transcription():
  rng = np.random.default_rng(0)
  true = rng.uniform(0, 100, (2, 4, 6, 2))
  predicted = true + rng.normal(0, 8, true.shape)
  visible = rng.random(true.shape[:-1]) < 0.8
  thresholds = (0.1, 0.2, 0.3)
  want = plain_tracking.pck(predicted, true, visible, thresholds)
  errors = keypoint_errors(
    predicted, np.where(visible[..., None], true, np.nan)
  )
  measured = pck(errors[:, 1:].reshape(-1, 6), thresholds)
  np.testing.assert_allclose(100 * np.array(measured), want, rtol=1e-9)
  assert 10 < want[0] < want[2] < 90


def test_errors_measured_by_hand():
  # Keypoints 30 apart across and 40 down: the diagonal is 50, the unit 30.
  true = np.array([[0.0, 0.0], [30, 40], [np.nan, np.nan]])
  predicted = np.array([[3.0, 0.0], [30, 46], [0, 0]])
  np.testing.assert_allclose(
    keypoint_errors(predicted, true), [0.1, 0.2, np.nan]
  )


def test_what_was_lost_is_wrong_at_any_threshold():
  true = np.array([[0.0, 0.0], [30, 40]])
  errors = keypoint_errors(np.full((2, 2), np.nan), true)
  assert pck(errors[None], thresholds=(0.5, 100)) == [0, 0]


def test_kinds_of_keypoints_count_alike():
  # The first is visible once and met; the second twice and met once.
  errors = np.array([[0.05, 0.05], [np.nan, 0.3]])
  assert pck(errors, thresholds=(0.1, 0.3)) == [pytest.approx(0.75), 1]


def test_nothing_visible():
  errors = keypoint_errors(np.zeros((1, 2, 2)), np.full((1, 2, 2), np.nan))
  assert np.isnan(errors).all()
  assert pck(errors, thresholds=(0.1,)) == [0]


def test_one_keypoint_alone_counts_only_if_it_is_met():
  true = np.array([[5.0, 5], [np.nan, np.nan]])
  exact = np.array([[5.0, 5], [0, 0]])
  assert keypoint_errors(exact, true)[0] == 0
  assert pck(keypoint_errors(exact + 1, true)[None], (0.5, 100)) == [0, 0]
