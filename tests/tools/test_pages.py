"""The page of recipes says what the headers of the recipes say."""

import pathlib

import pytest

from rvmae_jax.tools import pages

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADER = '''"""A recipe.

  python -m rvmae_jax.train --workdir runs/a \\\\
    --config configs/a.py

Arguments: none.
Cost: a minute
of a core.
Expect (paper): 81.2.
"""
'''
PAGE = 'Before.\n\n<!-- recipes -->\n<!-- end of recipes -->\n\nAfter.\n'


@pytest.fixture
def configs(tmp_path):
  folder = tmp_path / 'configs'
  folder.mkdir()
  (folder / 'a.py').write_text(HEADER)
  return folder


def test_the_page_of_the_tree_is_up_to_date():
  page = ROOT / 'docs' / 'recipes.md'
  assert not pages.update_recipes(page, ROOT / 'configs', write=False)


def test_a_recipe_has_command_cost_and_expectation(configs, tmp_path):
  page = tmp_path / 'recipes.md'
  page.write_text(PAGE)
  assert pages.update_recipes(page, configs, write=False)
  assert page.read_text() == PAGE
  assert pages.update_recipes(page, configs)
  assert not pages.update_recipes(page, configs)
  text = page.read_text()
  assert text.startswith('Before.') and text.endswith('After.\n')
  assert '| [a.py](#a) | A recipe. |' in text
  assert (
    '```bash\n'
    'python -m rvmae_jax.train --workdir runs/a \\\n'
    '  --config configs/a.py\n'
    '```\n\n'
    '**Cost:** a minute of a core.\n\n'
    '**Expect** (paper): 81.2.\n'
  ) in text


@pytest.mark.parametrize(
  ('line', 'instead'), [('Cost:', 'Price:'), ('python -m', 'python')]
)
def test_an_incomplete_header_is_named(configs, line, instead):
  (configs / 'a.py').write_text(HEADER.replace(line, instead))
  with pytest.raises(ValueError, match=r'a\.py'):
    pages.recipe_pages(configs)


def test_a_page_without_its_marks_is_named(configs, tmp_path):
  page = tmp_path / 'recipes.md'
  page.write_text('Nothing.\n')
  with pytest.raises(ValueError, match=r'recipes\.md lacks'):
    pages.update_recipes(page, configs)


def test_figures_need_an_evaluated_run(tmp_path):
  with pytest.raises(FileNotFoundError, match='Evaluate the run first'):
    pages.draw_figures(tmp_path, tmp_path / 'figures')
