"""Figures that explain the method have a panel for everything they explain."""

import numpy as np

from rvmae_jax.visualize.method import draw_masks, draw_method


def test_the_method_has_frames_features_and_a_target():
  video = np.zeros((3, 8, 8, 3))
  figure = draw_method(
    video,
    colours=np.zeros((3, 2, 2, 3)),
    target=np.full((8, 8, 3), 0.25),
    hidden=np.eye(8, dtype=bool),
    rebuilt=video[0],
    gap=4,
  )
  figure.draw_without_rendering()
  titles = [axes.get_title(loc='center') for axes in figure.axes]
  assert [title for title in titles if title] == [
    'frame t\u22122', 'frame t\u22121', 'frame t',
    'target t+4, masked', 'rebuilt', 'true',
  ]  # fmt: skip
  masked = figure.axes[6 + 3].images[0].get_array()
  np.testing.assert_array_equal(masked[..., 0] == 0.55, np.eye(8, dtype=bool))


def test_masks_have_a_row_each():
  clip = np.zeros((4, 8, 8, 3), np.uint8)
  figure = draw_masks({'tube': clip, 'target': clip})
  figure.draw_without_rendering()
  assert len(figure.axes) == 8
  assert [text.get_text() for axes in figure.axes for text in axes.texts] == [
    'tube',
    'target',
  ]
