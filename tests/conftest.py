"""Shared by all tests: eight simulated devices and the test material."""

import gc
import importlib.metadata
import os
import pathlib
import shutil
import sys
import tempfile
import types

# Before the first import of jax: one CPU plays eight devices, so that sharding
# is tested in this process; everything else runs on the first of them.
os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ['XLA_FLAGS'] = (
  os.environ.get('XLA_FLAGS', '') + ' --xla_force_host_platform_device_count=8'
)
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

# Most of the time would go into compiling small programs: once for all tests
# and for the processes that they start, and without what makes programs fast.
os.environ.setdefault(
  'JAX_COMPILATION_CACHE_DIR',
  os.path.join(tempfile.gettempdir(), f'compiled_{os.getpid()}'),
)
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0')
os.environ.setdefault('JAX_DISABLE_MOST_OPTIMIZATIONS', 'true')
# XLA's newer kernels for CPUs take most of that time. The flag that turns them
# off has gone in later versions, which refuse what they do not know; without
# this pass, those use fewer.
os.environ['XLA_FLAGS'] += (
  ' --xla_cpu_use_fusion_emitters=false'
  if importlib.metadata.version('jaxlib').startswith('0.10.')
  else ' --xla_disable_hlo_passes=fusion-wrapper'
)

import pytest

# Tracing makes many small objects that live on: looking for garbage after every
# 700 of them takes a seventh of its time.
gc.set_threshold(50_000)

_SHARED = pathlib.Path(__file__).resolve().parents[2] / 'shared'


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
  """`-n auto`: a worker for each core, as long as each has 4 GiB of memory."""
  if hasattr(os, 'sched_getaffinity'):
    num_cores = len(os.sched_getaffinity(0))
  else:
    num_cores = os.cpu_count()
  memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
  return max(1, min(num_cores, memory // 2**32, 8))


def pytest_unconfigure():
  """Removes the compiled programs, unless a folder was given to keep them."""
  folder = os.environ['JAX_COMPILATION_CACHE_DIR']
  if folder.endswith(f'compiled_{os.getpid()}'):
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope='module', autouse=True)
def _forget_compiled():
  """Programs that a module compiled go with it: the suite fits a laptop."""
  yield
  if 'jax' in sys.modules:
    sys.modules['jax'].clear_caches()


@pytest.fixture
def one_device(monkeypatch):
  """Runs take one of the simulated devices.

  Eight, which share a core or two, wait for each other most of the time, and
  their programs take longer to compile.
  """
  import jax

  monkeypatch.setattr(jax, 'devices', lambda: jax.local_devices()[:1])


@pytest.fixture
def noise_config():
  """What a recipe says of data, for random videos and masked targets."""
  import ml_collections

  return ml_collections.ConfigDict(
    {
      'seed': 0,
      'model': {'patch_size': 4},
      'data': {
        'sources': {'noise': {'name': 'fake', 'num_videos': 4}},
        'clip': {'name': 'source_target', 'num_target': 2},
        'crop': {'size': (8, 12)},
        'mask': {'name': 'target', 'ratio': 0.5},
      },
    }
  )


@pytest.fixture(scope='session')
def shared_dir() -> pathlib.Path:
  """Golden values and real videos, which live beside the checkout."""
  if not _SHARED.is_dir():
    pytest.skip(f'no test material: {_SHARED} does not exist')
  return _SHARED


@pytest.fixture
def bucket(tmp_path, monkeypatch):
  """A stand-in for cloud storage: `gs://bucket/x` is the file `x` in a folder.

  Orbax and ArrayRecord, which speak to the storage themselves, find a server.

  Returns:
    The folder.
  """
  from etils import epath

  from tests import storage_server

  def here(path):
    return str(path).replace('gs://bucket', str(tmp_path))

  def redirected(original, path, *args, **kwargs):
    args = [here(a) if str(a).startswith('gs://') else a for a in args]
    return original(here(path), *args, **kwargs)

  def found(original, pattern):
    paths = original(here(pattern))
    if here(pattern) == str(pattern):
      return paths
    return [path.replace(str(tmp_path), 'gs://bucket') for path in paths]

  # With TensorFlow installed, its own file system would be asked instead.
  monkeypatch.setattr(epath.gpath, '_is_tf_installed', lambda: False)
  # What Orbax asks of google-cloud-storage, an extra: the kind of bucket.
  kind = types.SimpleNamespace(hierarchical_namespace_enabled=False)
  client = types.SimpleNamespace(get_bucket=lambda name: kind)
  google = types.SimpleNamespace(Client=lambda: client)
  monkeypatch.setitem(sys.modules, 'google.cloud.storage', google)
  names = (
    *('open', 'exists', 'isdir', 'listdir', 'stat', 'mkdir', 'makedirs'),
    *('replace', 'rename', 'remove', 'rmtree'),
  )
  with (
    storage_server.serve(tmp_path) as address,
    epath.testing.mock_epath(**dict.fromkeys(names, redirected), glob=found),
  ):
    monkeypatch.setenv('CLOUD_STORAGE_EMULATOR_ENDPOINT', address)
    monkeypatch.setenv('TENSORSTORE_GCS_HTTP_URL', address)
    monkeypatch.setenv('GOOGLE_AUTH_TOKEN_FOR_TESTING', 'none')
    yield tmp_path
