"""Text is escaped once, markup never; pictures keep their size."""

import pytest

from rvmae_jax.visualize import page, save_figure
from rvmae_jax.visualize.style import new_figure

HOSTILE = '<script>"&amp;'
ESCAPED = '&lt;script&gt;&quot;&amp;amp;'
PARTS = {
  'page': lambda text: page.page(text, [text]),
  'title': page.title,
  'section': lambda text: page.section(text, text),
  'subsection': lambda text: page.subsection(text, text),
  'contents': lambda text: page.contents([text] * 3),
  'fold': lambda text: page.fold(text, text),
  'findings': lambda text: page.findings([text]),
  'paragraph': page.paragraph,
  'note': page.note,
  'bold': page.bold,
  'preformatted': page.preformatted,
  'table': lambda text: page.table([text], [[text]]),
  'figure': lambda text: page.figure(b'', text, text),
  'film': lambda text: page.film(b'', text),
}


@pytest.mark.parametrize('part', PARTS.values(), ids=PARTS)
def test_text_is_escaped_once_and_markup_never(part):
  of_text = part(HOSTILE)
  assert isinstance(of_text, page.Html)
  assert ESCAPED in of_text
  assert '<script>' not in of_text and '&amp;lt;' not in of_text
  # What is made of markup, however deep, is that of the text.
  nested = page.bold(page.join('a < ', page.bold('b')))
  assert nested == '<b>a &lt; <b>b</b></b>'
  assert nested in part(nested)


def test_pictures_have_the_size_that_they_were_drawn_in(tmp_path):
  """4 inches wide; in a narrow window they are as wide as it."""
  save_figure(new_figure(4, 1), tmp_path / 'a.png')
  text = page.figure((tmp_path / 'a.png').read_bytes(), 'a chart')
  assert f'width="{4 * 96}"' in text
