"""Charts of lines, as pages of results show them."""

import pytest

from rvmae_jax.visualize.lines import draw_panels


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
