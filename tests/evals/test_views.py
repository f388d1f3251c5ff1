"""Views worked by hand."""

import numpy as np
import pytest

from rvmae_jax.evals.views import Views


def test_views_are_cut_in_time_and_space():
  video = np.arange(4 * 2 * 6).reshape(1, 4, 2, 6, 1)
  views = Views(2, 3).cut(video)
  assert [view.shape for view in views] == [(1, 2, 2, 2, 1)] * 6
  np.testing.assert_array_equal(views[0], video[:, :2, :, :2])
  np.testing.assert_array_equal(views[1], video[:, :2, :, 2:4])
  np.testing.assert_array_equal(views[5], video[:, 2:, :, 4:])
  # Frames that are spread over the video: each clip spans all of it.
  views = Views(2, is_spread=True).cut(video)
  np.testing.assert_array_equal(views[1], video[:, 1::2])


def test_clips_that_do_not_divide_are_answered():
  with pytest.raises(ValueError, match='4 frames cannot be cut into num_clips'):
    Views(3).cut(np.zeros((1, 4, 2, 2, 3)))


def test_no_view_is_an_error():
  with pytest.raises(ValueError, match='num_crops=0 must be at least 1'):
    Views(1, 0)
