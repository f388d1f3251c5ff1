"""Labels to the patch grid and back: golden masks, keypoints by hand."""

import numpy as np
import pytest

from rvmae_jax.evals.tracking.labels import (
  KeypointLabels,
  MaskLabels,
  resize_mask,
)


@pytest.mark.parametrize('case', ['wide_radius', 'narrow_radius'])
def test_golden_masks(shared_dir, case):
  golden = np.load(shared_dir / 'golden/propagation/cases.npz')
  first, heatmap = (golden[f'{case}/{k}'] for k in ('first_mask', 'heatmap'))
  labels = MaskLabels(first, first.shape, heatmap.shape[:2])
  np.testing.assert_array_equal(labels.values, golden[f'{case}/label_map'])
  np.testing.assert_allclose(labels.soft.reshape(heatmap.shape), heatmap)
  segmentation = golden[f'{case}/segmentation']
  for soft, expected in zip(golden[f'{case}/soft'], segmentation):
    read = labels.read(soft.reshape(-1, soft.shape[-1]))
    read = resize_mask(read, expected.shape)
    np.testing.assert_array_equal(read, expected)


def test_masks_come_back_at_their_own_size_with_their_own_values():
  first = np.zeros((30, 50), np.uint8)
  first[:, 20:30] = 7
  labels = MaskLabels(first, size=(60, 100), grid=(6, 10))
  np.testing.assert_array_equal(labels.read(labels.soft), first)


# Frames of 40x80 on a grid of 4x8: cells of 10 pixels.
OWN_SIZE, GRID = (40, 80), (4, 8)


def test_a_keypoint_in_the_middle_of_a_cell_comes_back():
  first = np.array([[25.0, 15.0], [75, 35]])
  labels = KeypointLabels(first, OWN_SIZE, GRID)
  assert labels.soft.shape == (32, 2)
  assert labels.soft[:, 0].argmax() == 1 * 8 + 2
  np.testing.assert_allclose(labels.soft.max(0), 1)
  np.testing.assert_allclose(labels.read(labels.soft)[0], first[0])


def test_a_gaussian_of_half_a_cell():
  labels = KeypointLabels(np.array([[25.0, 15.0]]), OWN_SIZE, GRID)
  soft = labels.soft.reshape(*GRID)
  np.testing.assert_allclose(soft[1, 3], np.exp(-2), rtol=1e-6)
  np.testing.assert_allclose(soft[0, 3], np.exp(-4), rtol=1e-6)


def test_the_place_is_the_mean_of_the_five_likeliest_cells():
  labels = KeypointLabels(np.array([[5.0, 5.0]]), OWN_SIZE, GRID)
  soft = np.full((32, 1), 0.1)
  soft[[0, 1, 2, 3, 4], 0] = [1, 2, 3, 2, 2]
  # (0*1 + 1*2 + 2*3 + 3*2 + 4*2) / 10 = 2.2 cells, in the first row.
  np.testing.assert_allclose(labels.read(soft), [[27, 5]])


def test_a_keypoint_that_is_not_visible_stays_nowhere():
  first = np.array([[np.nan, np.nan], [5, 5]])
  labels = KeypointLabels(first, OWN_SIZE, GRID)
  read = labels.read(labels.soft)
  assert np.isnan(read[0]).all() and not np.isnan(read[1]).any()
