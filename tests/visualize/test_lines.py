"""Charts of lines, as pages of results show them."""

import pytest

from rvmae_jax.visualize.lines import draw_panels


def test_every_line_has_a_look_of_its_own():
  lines = [{'name': f'{n}', 'x': [0, 1], 'y': [0, n]} for n in range(16)]
  figure = draw_panels({'panels': [{'x': '', 'y': '', 'lines': lines}]})
  looks = {
    (line.get_linestyle(), line.get_color()) for line in figure.axes[0].lines
  }
  assert len(looks) == 16


@pytest.mark.parametrize(
  ('values', 'ends'),
  [([2.3, 96.0], (2, 128)), ([1.5, 1.5], (1, 2)), ([4.0, 8.0], (4, 8))],
)
def test_a_doubling_axis_has_marks_at_both_ends(values, ends):
  line = {'name': 'rvm', 'x': [1, 64], 'y': values}
  panel = {'x': 'frames', 'y': 'ms', 'log': 'xy', 'lines': [line]}
  figure = draw_panels({'panels': [panel]})
  figure.draw_without_rendering()
  [axes] = figure.axes
  assert axes.get_ylim() == ends
  assert {*ends} <= {*axes.get_yticks()}


@pytest.mark.parametrize('num_panels', [1, 2, 3])
def test_all_names_are_on_the_picture(num_panels):
  names = 'rvm', 'rvmae', 'videomae', 'vanilla_mae', 'image_mae', 'siammae'
  lines = [{'name': name, 'x': [0, 1], 'y': [0, 1]} for name in names]
  panel = {'x': 'clips', 'y': 'psnr', 'lines': lines}
  figure = draw_panels({'panels': [panel] * num_panels})
  figure.canvas.draw()
  (legend,) = figure.legends
  assert [text.get_text() for text in legend.get_texts()] == [*names]
  box, page = legend.get_window_extent(), figure.bbox
  assert page.x0 <= box.x0 and box.x1 <= page.x1


@pytest.mark.parametrize(
  'values, marks',
  [
    ([4800, 14400, 48000], ['4800', '14400', '48000']),
    ([1, 2, 3, 4, 5, 6, 7, 8], ['1', '2', '4', '8']),
  ],
)
def test_few_values_on_a_doubling_axis_are_its_marks(values, marks):
  line = {'name': 'rvm', 'x': values, 'y': values}
  panel = {'x': 'clips', 'y': 'probe', 'log': 'x', 'lines': [line]}
  figure = draw_panels({'panels': [panel]})
  figure.canvas.draw()
  (axes,) = figure.axes
  low, high = axes.get_xlim()
  shown = [
    text.get_text()
    for text in axes.get_xticklabels()
    if low <= text.get_position()[0] <= high
  ]
  assert shown == marks
