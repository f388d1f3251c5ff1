"""The doors between rooms: who may import whom, read from the source."""

import ast
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parents[1] / 'rvmae_jax'
MODULES = sorted(PACKAGE.rglob('*.py'))

# Room -> the other rooms that it may import. Entry points, `tools` and
# `benchmarks` are where all parts meet, so they are not listed.
DOORS = {
  'registry': set(),
  'batch': set(),
  'commands': {'registry'},
  'files': set(),
  'config_utils': {'registry'},
  'memory': set(),
  'target_device': set(),
  'layers': set(),
  'losses': set(),
  'masking': set(),
  'metrics': set(),
  'data': {'masking'},
  'models': {'layers'},
  'objectives': {'losses', 'layers'},
  'training': set(),
  # Readout heads are modules of `layers`, and learn there by their own losses.
  'evals': {'metrics', 'data', 'layers', 'losses'},
  'visualize': {'layers'},
  'interop': {'layers'},
  # Programs are made of networks and of what classifies their features.
  'artifacts': {'layers', 'models', 'evals'},
}
MEETING_PLACES = {
  '__init__',
  'benchmarks',
  'evaluate',
  'export',
  'stream',
  'tools',
  'train',
  'parts',
  'perceptual',
  'transfer',
  'weights',
  'write_weights',
}
# Every room may import these.
COMMON = {
  'registry',
  'batch',
  'commands',
  'config_utils',
  'files',
  'memory',
  'target_device',
}

# Slow to import or in an extra: only inside the function that needs them.
LAZY = {
  'ai_edge_litert',
  'apache_beam',
  'clu.metric_writers',
  'clu.periodic_actions',
  'cv2',
  'gradio',
  'jax.experimental.jax2tf',
  'jax2onnx',
  'matplotlib',
  'onnxruntime',
  'pyarrow',
  'safetensors',
  'starlette',
  'tensorboard',
  'tensorflow',
  'tensorflow_datasets',
  'torch',
}
# Not even inside a function: these rooms compute with numpy.
BANNED = {
  'data': {'flax', 'jax.numpy', 'jax.lax', 'optax'},
  'masking': {'flax', 'jax', 'optax'},
  'metrics': {'flax', 'jax', 'optax'},
}


def _room(path: pathlib.Path) -> str:
  return path.relative_to(PACKAGE).with_suffix('').parts[0]


def _imports(node: ast.AST, *, inside_functions: bool = True) -> Iterator[str]:
  """Dotted names imported below a node: 'a.b' for both forms of import."""
  functions = ast.FunctionDef | ast.AsyncFunctionDef
  for child in ast.iter_child_nodes(node):
    if isinstance(child, ast.Import):
      yield from (alias.name for alias in child.names)
    elif isinstance(child, ast.ImportFrom):
      assert not child.level, 'relative imports hide where a name comes from'
      yield from (f'{child.module}.{alias.name}' for alias in child.names)
    elif inside_functions or not isinstance(child, functions):
      yield from _imports(child, inside_functions=inside_functions)


def _is_in(name: str, packages: set[str]) -> bool:
  return any(name == p or name.startswith(f'{p}.') for p in packages)


@pytest.fixture(params=MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def module(request) -> tuple[pathlib.Path, ast.Module]:
  return request.param, ast.parse(request.param.read_text())


def test_every_room_has_its_doors_listed():
  assert {_room(path) for path in MODULES} <= DOORS.keys() | MEETING_PLACES


def test_rooms_import_only_through_their_doors(module):
  path, tree = module
  room = _room(path)
  if room in MEETING_PLACES:
    return
  allowed = {room} | DOORS[room]
  if room not in COMMON:
    allowed |= COMMON
  for name in _imports(tree):
    first, _, rest = name.partition('.')
    if first == 'rvmae_jax':
      assert rest.split('.')[0] in allowed, f'{room} imports {name}'


def test_nothing_heavy_is_imported_with_a_module(module):
  _, tree = module
  names = _imports(tree, inside_functions=False)
  assert [name for name in names if _is_in(name, LAZY)] == []


def test_numpy_rooms_stay_numpy(module):
  path, tree = module
  banned = BANNED.get(_room(path), set())
  assert [name for name in _imports(tree) if _is_in(name, banned)] == []


def test_no_time_is_taken_from_a_clock_that_can_be_set(module):
  """`time.time` jumps when the clock is put right; `monotonic` does not."""
  path, tree = module
  read = {
    f'{node.value.id}.{node.attr}'
    for node in ast.walk(tree)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
  }
  assert 'time.time' not in read, path


def test_public_names_have_docstrings(module):
  _, tree = module
  if not tree.body:
    return
  assert ast.get_docstring(tree), 'the module has no docstring'
  definitions = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
  for node in tree.body:
    if isinstance(node, definitions) and not node.name.startswith('_'):
      assert ast.get_docstring(node), f'{node.name} has no docstring'


def _loaded_by(*modules: str) -> set[str]:
  """Top-level packages and modules that a new Python has after importing."""
  code = f'import {", ".join(modules)}, sys; print(*sys.modules)'
  process = subprocess.run(
    [sys.executable, '-c', code],
    capture_output=True,
    text=True,
    env={**os.environ, 'PYTHONPATH': str(PACKAGE.parent)},
  )
  assert process.returncode == 0, process.stderr
  return set(process.stdout.split())


def test_import_of_the_package_starts_nothing():
  loaded = _loaded_by('rvmae_jax')
  assert loaded.isdisjoint({'jax', 'numpy', 'flax'} | LAZY)


def test_all_modules_share_one_process():
  """No flag is defined twice, and even all together load nothing heavy."""
  names = [
    '.'.join(path.relative_to(PACKAGE.parent).with_suffix('').parts)
    for path in MODULES
  ]
  loaded = _loaded_by(*(name.removesuffix('.__init__') for name in names))
  assert loaded.isdisjoint(LAZY)
