"""Overlap of boxes, worked by hand."""

import math

import numpy as np
import pytest

from rvmae_jax.metrics.boxes import box_iou, tracked_iou

SQUARE = [0.0, 0, 2, 2]


@pytest.mark.parametrize(
  ('other', 'iou'),
  [
    (SQUARE, 1),
    ([1, 1, 3, 3], 1 / 7),  # 1 of 4 + 4 - 1.
    ([0, 0, 1, 2], 1 / 2),
    ([2, 0, 4, 2], 0),  # They touch.
    ([5, 5, 6, 6], 0),
    ([2, 2, 0, 0], 0),  # Ends before it begins.
    ([1, 1, 1, 1], 0),
  ],
)
def test_pairs_by_hand(other, iou):
  one, other = np.array(SQUARE), np.array(other, float)
  assert box_iou(one, other) == box_iou(other, one) == pytest.approx(iou)


def test_the_first_frame_and_what_is_not_there_do_not_count():
  gone = [math.nan] * 4
  true = np.array([[SQUARE, SQUARE, gone], [SQUARE, gone, SQUARE]])
  pred = np.array(
    [[[0, 0, 0, 0], SQUARE, SQUARE], [SQUARE, SQUARE, [0, 0, 1, 2]]]
  )
  assert tracked_iou(pred, true) == pytest.approx((1 + 0.5) / 2)


def test_no_box_after_the_first_frame():
  true = np.array([[SQUARE, [math.nan] * 4]])
  assert math.isnan(tracked_iou(np.zeros((1, 2, 4)), true))


def test_two_empty_boxes_do_not_divide_by_zero():
  assert box_iou(np.zeros(4), np.zeros(4)) == 0
