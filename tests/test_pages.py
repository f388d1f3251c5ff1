"""README and docs/ speak of what is there, and their examples work."""

import ast
import configparser
import importlib.util
import itertools
import json
import pathlib
import re
import shlex
import subprocess
import sys

import jax
import numpy as np
import pytest

from rvmae_jax.benchmarks.__main__ import BENCHMARKS
from rvmae_jax.commands import COMMANDS as BY_NAME
from rvmae_jax.config_utils import load_config
from rvmae_jax.parts import build_parts
from rvmae_jax.write_weights import write_params

ROOT = pathlib.Path(__file__).resolve().parents[1]
SITE = ROOT / 'launch' / 'mkdocs.yml'
PAGES = [ROOT / 'README.md', *sorted(ROOT.glob('docs/**/*.md'))]
TEXTS = {path: path.read_text() for path in PAGES}
EXTEND = TEXTS[ROOT / 'docs/guides/extend.md']

# What the examples of docs/guides/extend.md make.
EXAMPLES = {'rvmae_jax/masking/strip.py', 'configs/rvm_strip.py'}


def _name(path: pathlib.Path) -> str:
  return str(path.relative_to(ROOT))


def _block(text: str, path: str) -> str:
  """The Python block whose first line is the comment `# path`."""
  return re.search(rf'```python\n(# {path}\n.*?)```', text, re.DOTALL)[1]


def _code(text: str, language: str) -> list[str]:
  """The blocks of a language, without the indentation of lists."""
  found = re.findall(rf'^( *)```{language}\n(.*?)^ *```', text, re.M | re.S)
  return [re.sub(f'^{indent}', '', code, flags=re.M) for indent, code in found]


def _commands(text: str) -> list[list[str]]:
  """Module and arguments of every command, in blocks and in running text."""
  text = re.sub(r'\\\n\s*', ' ', text)
  lines = [line for code in _code(text, 'bash') for line in code.splitlines()]
  rest = re.sub(r'```.*?```', '', text, flags=re.S)
  lines += re.findall(r'`([^`]+)`', rest)
  commands = []
  for line in lines:
    line = ' '.join(line.split())
    found = re.search(r'python -m (rvmae_jax.*)|^rvmae (\w.*)', line)
    if not found:
      continue
    module, *words = shlex.split(found[1] or found[2], comments=True)
    module = BY_NAME.get(module, module).removesuffix('.__main__')
    if module == 'rvmae_jax.benchmarks' and words[0] in BENCHMARKS:
      module = BENCHMARKS[words.pop(0)]
    commands.append([module, *words])
  return commands


COMMANDS = sorted(
  {tuple(words) for text in TEXTS.values() for words in _commands(text)}
)


def _flags(module: str) -> set[str]:
  """Those of a command, from its source and that of what it imports."""
  source = pathlib.Path(importlib.util.find_spec(module).origin).read_text()
  parts = re.findall(r'^from (rvmae_jax[\w.]*) import (\w+)', source, re.M)
  for room, name in parts:
    folder = ROOT / room.replace('.', '/')
    for path in (folder / f'{name}.py', folder.with_suffix('.py')):
      source += path.read_text() if path.exists() else ''
  patterns = [r"DEFINE_\w+\(\s*'(\w+)'", r"'--(\w+)'"]
  if "f'--{" in source:  # Made in a loop over names.
    patterns.append(r"'(\w+)'")
  return {name for p in patterns for name in re.findall(p, source)} | {'help'}


@pytest.mark.parametrize('module', sorted({words[0] for words in COMMANDS}))
def test_commands_know_their_flags(module):
  used = {
    re.match(r'\[?--(\w+)', word)[1]
    for words in COMMANDS
    if words[0] == module
    for word in words
    if re.match(r'\[?--\w', word)
  }
  assert used - _flags(module) == set()


@pytest.mark.parametrize(
  ('spec', 'overrides'),
  sorted(
    {
      (spec, tuple(w for w in words if w.startswith('--config.')))
      for words in COMMANDS
      for spec in words
      if re.match(r'configs/\w+\.py', spec)
    }
  ),
)
def test_recipes_take_their_arguments_and_overrides(spec, overrides):
  if spec.startswith('configs/rvm_strip.py'):
    return
  config = load_config(f'{ROOT}/{spec}')
  for override in overrides:
    path, _, value = override.removeprefix('--config.').partition('=')
    assert value, override
    *parents, last = path.split('.')
    node = config
    for name in parents:
      node = node[name]
    assert last in node, override


@pytest.mark.parametrize(
  'path',
  sorted(
    {
      path
      for text in TEXTS.values()
      for path in re.findall(
        r'\b(?:configs|launch|tests|rvmae_jax)/[\w/]+\.\w+', text
      )
    }
    - EXAMPLES
  ),
)
def test_files_exist(path):
  assert (ROOT / path).exists()


def _anchors(text: str) -> set[str]:
  """What a link may end in: headings, as GitHub and MkDocs name them."""
  text = re.sub(r'```.*?```', '', text, flags=re.S)
  headings = re.findall(r'^#+ (.*)$', text, re.M)
  plain = (re.sub(r'[^\w\s-]', '', line).strip().lower() for line in headings)
  return {re.sub(r'[-\s]+', '-', line) for line in plain}


@pytest.mark.parametrize('page', PAGES, ids=_name)
def test_links_lead_somewhere(page):
  links = re.findall(r'\]\(([^)\s]+)\)', TEXTS[page])
  for link in links:
    if re.match(r'https?:', link):
      continue
    target, _, anchor = link.partition('#')
    path = (page.parent / target).resolve() if target else page
    assert path.exists(), link
    # Anchors of the reference are made by mkdocstrings.
    if anchor and not anchor.startswith('rvmae_jax.'):
      assert anchor in _anchors(path.read_text()), link


def test_every_page_is_in_the_site():
  site = SITE.read_text()
  pages = {_name(path).removeprefix('docs/') for path in PAGES[1:]}
  assert {page for page in pages if f'{page}\n' not in site} == set()


def test_every_extra_is_explained():
  setup = configparser.ConfigParser()
  setup.read(ROOT / 'setup.cfg')
  start = TEXTS[ROOT / 'docs/start.md']
  extras = set(setup['options.extras_require'])
  assert {extra for extra in extras if f'`{extra}`' not in start} == set()


def test_an_extra_brings_all_that_its_feature_needs():
  setup = configparser.ConfigParser()
  setup.read(ROOT / 'setup.cfg')
  extras = setup['options.extras_require']
  assert 'rvmae_jax[vis,flow]' in extras['app']  # It draws, and follows flow.
  assert 'rvmae_jax[interop]' in extras['hub']  # `push` writes .safetensors.


@pytest.mark.parametrize(
  'module',
  sorted(
    set(
      itertools.chain.from_iterable(
        re.findall(r'^::: ([\w.]+)', text, re.M) for text in TEXTS.values()
      )
    )
  ),
)
def test_the_reference_names_modules(module):
  assert importlib.util.find_spec(module)


def test_the_readme_is_read_in_five_minutes():
  assert TEXTS[ROOT / 'README.md'].count('\n') <= 200
  pictures = re.findall(r'\]\((\S+\.png)\)', TEXTS[ROOT / 'README.md'])
  assert len(pictures) == 1
  assert (ROOT / pictures[0]).stat().st_size < 500_000


def test_the_map_shows_all_rooms():
  rooms = {path.parent.name for path in ROOT.glob('rvmae_jax/*/__init__.py')}
  assert {room for room in rooms if f'  {room}/ ' not in EXTEND} == set()


def test_the_example_mask_shows_neighbouring_rows():
  namespace = {}
  exec(_block(EXTEND, 'rvmae_jax/masking/strip.py'), namespace)
  mask = namespace['StripMask'](grid=(4, 3), num_rows=2)
  rows = mask({'target': np.zeros(50)}, np.random.default_rng(0))
  assert rows['ids_keep'].shape == (50, 6)
  assert {tuple(ids) for ids in rows['ids_keep']} == {
    (0, 1, 2, 3, 4, 5),
    (3, 4, 5, 6, 7, 8),
    (6, 7, 8, 9, 10, 11),
    (0, 1, 2, 9, 10, 11),
  }


def test_the_example_recipe_loads(tmp_path):
  path = tmp_path / 'rvm_strip.py'
  path.write_text(_block(EXTEND, 'configs/rvm_strip.py'))
  config = load_config(f'{path}:variant=tiny')
  assert config.data.mask.to_dict() == {'name': 'strip', 'num_rows': 2}


@pytest.mark.parametrize('page', PAGES, ids=_name)
def test_python_parses(page):
  for code in _code(TEXTS[page], 'python'):
    if code.startswith("'"):  # Entries of a dictionary.
      code = '{' + code.replace('...', '') + '}'
    ast.parse(code)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """Where examples run: weights of the quick start's network, a video."""
  from tests.data import small_videos

  folder = tmp_path_factory.mktemp('examples')
  config = load_config(f'{ROOT}/configs/rvm_quickstart.py')
  shapes = build_parts(config).shapes.params
  rng = np.random.default_rng(0)
  params = jax.tree.map(
    lambda leaf: rng.normal(0, 0.05, leaf.shape).astype(np.float32), shapes
  )
  # A folder with weights is read as a run is.
  for path in ('runs/quickstart/model.safetensors', 'rvm.npz'):
    write_params(params, config, folder / path)
  small_videos.write(
    folder / 'clip.mp4', 'libx264', 'yuv420p', numbers=range(5)
  )
  return folder


def _run_python(code: str, **names) -> dict:
  exec(compile(code, 'example', 'exec'), names)
  return names


def test_ten_lines_of_python(folder, monkeypatch, capsys):
  monkeypatch.chdir(folder)
  [code] = _code(TEXTS[ROOT / 'README.md'], 'python')
  names = _run_python(code)
  assert capsys.readouterr().out == '(1, 5, 17, 128)\n'
  assert names['features'].shape == (1, 17, 128)


def test_examples_of_the_guides_run(folder, monkeypatch):
  monkeypatch.chdir(folder)
  video = np.zeros((1, 3, 32, 32, 3), np.uint8)
  names = {'video': video, 'camera': video[0]}
  for page in ('export', 'stream'):
    for code in _code(TEXTS[ROOT / f'docs/guides/{page}.md'], 'python'):
      names |= _run_python(code.replace('(256, 256)', '(32, 32)'), **names)
  assert names['features'].shape == (1, 17, 128)


@pytest.mark.filterwarnings('ignore:.*non-interactive')
def test_the_notebook_runs(folder, monkeypatch):
  """Without the quick start's run: on random weights."""
  monkeypatch.chdir(folder)
  monkeypatch.setenv('RVMAE_CACHE', str(folder))
  notebook = json.loads((ROOT / 'docs/inference.ipynb').read_text())
  cells = [
    ''.join(cell['source'])
    for cell in notebook['cells']
    if cell['cell_type'] == 'code'
  ]
  code = '\n'.join(cells).replace('%matplotlib inline\n', '')
  names = _run_python(code)
  np.testing.assert_allclose(names['streamed'], names['features'][0], atol=1e-4)
  assert names['hidden'].sum() == 4 * 3 * 15 * 64


def test_the_site_builds_and_needs_no_network(tmp_path):
  for module in ('material', 'mkdocstrings'):
    if not importlib.util.find_spec(module):
      pytest.skip(f'no {module}: pip install -e ".[docs]"')
  process = subprocess.run(
    [sys.executable, '-m', 'mkdocs', 'build', '--strict', '--quiet']
    + [f'--config-file={SITE}', f'--site-dir={tmp_path}'],
    capture_output=True,
    text=True,
  )
  assert process.returncode == 0, process.stderr
  loaded = r'<(?:script|img|iframe)[^>]*src="https?:|<link[^>]*stylesheet[^>]*'
  for page in tmp_path.rglob('*.html'):
    text = page.read_text()
    assert not re.search(loaded + r'href="https?:', text), page
    assert not re.search(r'src="https?:', text), page
