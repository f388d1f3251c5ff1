"""Weights by their address on the hub, from its cache and without a network."""

import importlib

import jax
import numpy as np
import pytest

from rvmae_jax import weights
from rvmae_jax.interop import hub, npz
from tests.golden import released_rvm

hugging_face = pytest.importorskip(
  'huggingface_hub', reason='needs the extra [hub]'
)
COMMIT = 'a' * 40


@pytest.fixture
def repository(tmp_path, monkeypatch):
  """The folder of a repository `org/net` that was fetched before."""
  root = tmp_path / 'models--org--net'
  for revision in ('main', 'v1'):
    (root / 'refs').mkdir(parents=True, exist_ok=True)
    (root / 'refs' / revision).write_text(COMMIT)
  folder = root / 'snapshots' / COMMIT
  folder.mkdir(parents=True)
  constants = importlib.import_module('huggingface_hub.constants')
  monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path))
  monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
  return folder


def test_the_file_of_the_usual_name_is_taken(repository):
  for name in ('config.json', 'other.safetensors', 'model.safetensors'):
    (repository / name).touch()
  for address in ('hf://org/net', 'hf://org/net@v1'):
    assert weights.find_file(address) == repository / 'model.safetensors'


def test_pickles_are_taken_where_there_is_nothing_else(repository):
  (repository / 'pytorch_model.bin').touch()
  found = weights.find_file('hf://org/net')
  assert found == repository / 'pytorch_model.bin'


def test_a_network_comes_from_the_cache(repository):
  rng = np.random.default_rng(0)
  stack = released_rvm.Stack(blocks=1, heads=2, mlp=16)
  shapes = released_rvm.shapes(
    width=8,
    encoder=stack,
    core=stack,
    decoder_width=8,
    decoder=stack,
    patch=8,
  )
  arrays = {name: np.float32(rng.normal(size=shape)) for name, shape in shapes}
  npz.write(repository / 'rvm.npz', arrays, {})
  params, config = weights.load('hf://org/net')
  same, _ = weights.load(repository / 'rvm.npz')
  assert config.model.name == 'rvm'
  jax.tree.map(np.testing.assert_array_equal, params, same)


@pytest.mark.parametrize(
  'address, message',
  [
    ('hf://org/other', 'org/other could not be fetched'),
    ('hf://org/net@v2', 'org/net@v2 could not be fetched'),
    ('hf://org', 'ORGANISATION/NAME'),
    ('hf://org/net', 'holds no weights'),
  ],
)
def test_what_is_not_there_is_named(repository, address, message):
  with pytest.raises((FileNotFoundError, ValueError), match=message):
    weights.load(address)


def test_of_several_files_none_is_guessed(repository):
  for name in ('a.safetensors', 'b.safetensors'):
    (repository / name).touch()
  with pytest.raises(FileNotFoundError, match=r'a\.safetensors, b\.safe'):
    weights.load('hf://org/net')


def test_an_upload_makes_the_repository(tmp_path, monkeypatch):
  calls = []
  for name in ('create_repo', 'upload_folder'):
    monkeypatch.setattr(
      hugging_face,
      name,
      lambda *args, name=name, **kwargs: calls.append((name, args, kwargs)),
    )
  url = hub.upload(tmp_path, 'hf://org/net', private=True)
  assert url == 'https://huggingface.co/org/net'
  assert calls == [
    ('create_repo', ('org/net',), {'private': True, 'exist_ok': True}),
    ('upload_folder', (), {'repo_id': 'org/net', 'folder_path': tmp_path}),
  ]
  with pytest.raises(ValueError, match='no revision'):
    hub.upload(tmp_path, 'hf://org/net@v1')


def test_a_refused_upload_says_how_to_log_in(tmp_path, monkeypatch):
  def refuse(*_, **__):
    raise hugging_face.errors.LocalTokenNotFoundError('No token.')

  monkeypatch.setattr(hugging_face, 'create_repo', refuse)
  message = r'hf://org/net .*No token\. Log in with `hf auth login`'
  with pytest.raises(OSError, match=message):
    hub.upload(tmp_path, 'hf://org/net')
