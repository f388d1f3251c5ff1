"""Text of anyone stays text, and tables stay whole."""

import pytest

from rvmae_jax.tools.card import markdown


@pytest.mark.parametrize(
  ('text', 'wanted'),
  [
    ('<script>', r'\<script\>'),
    ('a & b', r'a \& b'),
    ('a|b', r'a\|b'),
    ('*a* [b](c) `d` ~~e~~', r'\*a\* \[b\](c) \`d\` \~\~e\~\~'),
    (r'a\*', r'a\\\*'),
    ('weight_decay 0.05', 'weight_decay 0.05'),
    ('_a_', r'\_a\_'),
    ('two\nlines', 'two lines'),
    (3, '3'),
  ],
)
def test_text_is_escaped_once(text, wanted):
  assert markdown.join(text) == wanted
  assert markdown.bullets(text) == f'- {wanted}'
  assert markdown.bullets(markdown.fact('x', text)) == f'- x: {wanted}'
  assert markdown.heading(2, text) == f'## {wanted}'
  assert markdown.bold(text) == f'**{wanted}**'
  table = markdown.table(['x'], [[text], [markdown.join(text)]])
  assert table.splitlines() == ['| x |', '| --- |', *[f'| {wanted} |'] * 2]


def test_code_holds_anything():
  assert markdown.code('a*b') == '`a*b`'
  assert markdown.code('a`b') == '`` a`b ``'
  assert markdown.table([markdown.code('a|b')], []).startswith(r'| `a\|b` |')
  assert markdown.code_block('a\n```', 'bash') == '````bash\na\n```\n````'
