"""Building blocks of an HTML page that needs no network.

They take text and `Html` alike: text is escaped where it enters the page, and
only here; what is `Html` stays as it is.
"""

import base64
import html
from collections.abc import Iterable, Sequence

from rvmae_jax.visualize.style import DPI

_CSS_DPI = 96
_CSS = """
:root { color-scheme: light dark; --text: #1d2024; --faint: #6b7178;
  --line: #e3e5e8; --page: #fff; --panel: #f6f7f8; --accent: #1f74b5; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e6e9;
  --faint: #979da5; --line: #30343a; --page: #16181c; --panel: #1e2126;
  --accent: #62b0ec; } }
body { margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 3rem 1.5rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.2rem; margin: 2.8rem 0 .4rem; }
h3 { font-size: 1rem; margin: 1.6rem 0 .3rem; }
nav { margin: 1.4rem 0 0; line-height: 2; }
nav a { color: var(--accent); text-decoration: none; margin-right: 1.2rem;
  white-space: nowrap; }
nav a:hover { text-decoration: underline; }
p { max-width: 46rem; margin: .4rem 0; }
.faint, figcaption { color: var(--faint); font-size: .9rem; }
.findings { font-size: 1.1rem; margin-top: 1.2rem; padding: 0;
  list-style: none; }
.findings li { margin: .3rem 0; }
.findings b { color: var(--accent); }
table { border-collapse: collapse; margin: .8rem 0 .4rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .32rem 1.5rem .32rem 0; text-align: right;
  border-bottom: 1px solid var(--line); }
th { font-weight: 500; color: var(--faint); font-size: .9rem; }
th:first-child, td:first-child { text-align: left; }
.scroll { overflow-x: auto; }
figure { margin: .8rem 0; }
img { max-width: 100%; height: auto; display: block; }
video { width: 100%; height: auto; display: block; }
pre { background: var(--panel); padding: .9rem 1.1rem; border-radius: 6px;
  overflow-x: auto; font-size: .85rem; line-height: 1.5; }
details { margin: .5rem 0; }
summary { cursor: pointer; }
"""


class Html(str):
  """Markup, which is never escaped."""


def join(*parts: str) -> Html:
  """Text and HTML in a row."""
  return Html(''.join(map(_escape, parts)))


def _escape(content: str) -> Html:
  """The HTML of text; HTML as it is."""
  return content if isinstance(content, Html) else Html(html.escape(content))


def _element(tag: str, content: str, **attributes: str) -> Html:
  """Text or HTML between two tags."""
  named = ''.join(f' {k}="{_escape(v)}"' for k, v in attributes.items())
  return Html(f'<{tag}{named}>{_escape(content)}</{tag}>')


def page(title: str, parts: Iterable[str]) -> Html:
  """A whole page, for a light or a dark screen; empty parts are left out."""
  content = '\n'.join(map(_escape, filter(None, parts)))
  return Html(f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_escape(title)}</title>
<style>{_CSS}</style></head>
<body><main>
{content}
</main></body></html>
""")


def title(text: str) -> Html:
  """The heading of the page."""
  return _element('h1', text)


def section(heading: str, content: str) -> Html:
  """A heading above content."""
  return _element(
    'section',
    join(_element('h2', heading), '\n', content),
    id=_anchor(heading),
  )


def subsection(heading: str, content: str = '') -> Html:
  """A smaller heading above content."""
  return join(_element('h3', heading), '\n', content)


def contents(headings: Sequence[str]) -> Html:
  """Links to sections by their headings; nothing for fewer than three."""
  if len(headings) < 3:
    return Html()
  links = (
    _element('a', heading, href=f'#{_anchor(heading)}') for heading in headings
  )
  return _element('nav', Html(' '.join(links)))


def _anchor(heading: str) -> str:
  return heading.lower().replace(' ', '-')


def fold(summary: str, content: str) -> Html:
  """Content that shows when its summary is clicked."""
  return _element('details', join(_element('summary', summary), content))


def findings(sentences: Iterable[str]) -> Html:
  """The first lines of a page, in larger print; nothing if there are none."""
  items = join(*(_element('li', sentence) for sentence in sentences))
  if not items:
    return items
  return Html(f'<ul class="findings">{items}</ul>')


def paragraph(content: str) -> Html:
  """A paragraph."""
  return _element('p', content)


def note(content: str) -> Html:
  """A paragraph in small, faint print."""
  return Html(f'<p class="faint">{_escape(content)}</p>')


def bold(content: str) -> Html:
  """Content in bold print."""
  return _element('b', content)


def preformatted(text: str) -> Html:
  """Commands or code."""
  return _element('pre', text)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Html:
  """A table."""
  head = join(*(_element('th', column) for column in columns))
  lines = [
    _element('tr', join(*(_element('td', cell) for cell in row)))
    for row in rows
  ]
  lines = '\n'.join([_element('tr', head), *lines])
  return Html(f'<div class="scroll"><table>{lines}</table></div>')


def figure(png: bytes, alt: str, caption: str = '') -> Html:
  """A picture inside the page, in its own size, so that letters are alike."""
  width = int.from_bytes(png[16:20], 'big') * _CSS_DPI // DPI
  picture = (
    f'<img alt="{_escape(alt)}" width="{width}" '
    f'src="{_inside("image/png", png)}">'
  )
  return _captioned(Html(picture), caption)


def film(mp4: bytes, caption: str = '') -> Html:
  """A film inside the page; it plays without end when it is started."""
  source = _inside('video/mp4', mp4)
  return _captioned(
    Html(f'<video controls muted loop src="{source}"></video>'), caption
  )


def _inside(kind: str, content: bytes) -> str:
  return f'data:{kind};base64,{base64.b64encode(content).decode()}'


def _captioned(content: Html, caption: str) -> Html:
  return _element('figure', join(content, _element('figcaption', caption)))
