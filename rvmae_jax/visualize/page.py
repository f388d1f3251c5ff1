"""Building blocks of an HTML page that needs no network."""

import base64
import html
from collections.abc import Iterable, Sequence

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
img, video { width: 100%; height: auto; display: block; }
pre { background: var(--panel); padding: .9rem 1.1rem; border-radius: 6px;
  overflow-x: auto; font-size: .85rem; line-height: 1.5; }
details { margin: .5rem 0; }
summary { cursor: pointer; }
"""


def page(title: str, parts: Iterable[str]) -> str:
  """A whole page, for a light or a dark screen; empty parts are left out."""
  content = '\n'.join(filter(None, parts))
  return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>{_CSS}</style></head>
<body><main>
{content}
</main></body></html>
"""


def section(heading: str, content: str) -> str:
  """A heading above HTML."""
  return (
    f'<section id="{_anchor(heading)}"><h2>{html.escape(heading)}</h2>\n'
    f'{content}</section>'
  )


def subsection(heading: str, content: str) -> str:
  """A smaller heading above HTML."""
  return f'<h3>{html.escape(heading)}</h3>\n{content}'


def contents(headings: Sequence[str]) -> str:
  """Links to sections by their headings; nothing for fewer than three."""
  if len(headings) < 3:
    return ''
  links = (
    f'<a href="#{_anchor(heading)}">{html.escape(heading)}</a>'
    for heading in headings
  )
  return f'<nav>{" ".join(links)}</nav>'


def _anchor(heading: str) -> str:
  return html.escape(heading.lower().replace(' ', '-'))


def fold(summary: str, content: str) -> str:
  """HTML that shows when its summary is clicked."""
  return (
    f'<details><summary>{html.escape(summary)}</summary>{content}</details>'
  )


def note(text: str) -> str:
  """A paragraph in small, faint print."""
  return f'<p class="faint">{html.escape(text)}</p>'


def preformatted(text: str) -> str:
  """Commands or code."""
  return f'<pre>{html.escape(text)}</pre>'


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
  """A table; columns are text, cells are HTML already."""
  head = ''.join(f'<th>{html.escape(column)}</th>' for column in columns)
  body = '\n'.join(
    f'<tr>{"".join(f"<td>{cell}</td>" for cell in row)}</tr>' for row in rows
  )
  return f'<div class="scroll"><table><tr>{head}</tr>\n{body}</table></div>'


def figure(png: bytes, alt: str, caption: str = '') -> str:
  """A picture inside the page."""
  picture = f'<img alt="{html.escape(alt)}" src="{_inside("image/png", png)}">'
  return _captioned(picture, caption)


def film(mp4: bytes, caption: str = '') -> str:
  """A film inside the page; it plays without end when it is started."""
  source = _inside('video/mp4', mp4)
  return _captioned(
    f'<video controls muted loop src="{source}"></video>', caption
  )


def _inside(kind: str, content: bytes) -> str:
  return f'data:{kind};base64,{base64.b64encode(content).decode()}'


def _captioned(content: str, caption: str) -> str:
  return (
    f'<figure>{content}<figcaption>{html.escape(caption)}</figcaption></figure>'
  )
