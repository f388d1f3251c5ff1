"""The commit is that of the code, and of nothing around it."""

import subprocess

import pytest

from rvmae_jax.training.environment import environment, git_commit, memory_hint


def _git(folder, *arguments):
  who = ('-c', 'user.name=a', '-c', 'user.email=a@b')
  subprocess.run(['git', '-C', folder, *who, *arguments], check=True)


def test_commit_of_a_checkout_says_whether_files_were_changed(tmp_path):
  (tmp_path / 'code').mkdir()
  (tmp_path / 'code/a.py').write_text('1')
  _git(tmp_path, 'init', '-q')
  _git(tmp_path, 'add', '.')
  _git(tmp_path, 'commit', '-q', '-m', 'one')
  commit = git_commit(tmp_path / 'code')
  assert len(commit) == 40
  (tmp_path / 'code/a.py').write_text('2')
  assert git_commit(tmp_path / 'code') == f'{commit}+changes'


def test_untracked_folders_have_no_commit(tmp_path):
  assert git_commit(tmp_path) == ''
  _git(tmp_path, 'init', '-q')
  _git(tmp_path, 'commit', '-q', '--allow-empty', '-m', 'one')
  (tmp_path / 'site-packages').mkdir()
  assert git_commit(tmp_path / 'site-packages') == ''


def test_environment_names_versions_and_devices():
  found = environment()
  assert found['device'] == '8 x cpu'
  assert {'jax', 'rvmae_jax', 'python'} <= found.keys()


@pytest.mark.parametrize(
  'system, tunables, hinted',
  [
    ('always [madvise] never', None, True),
    ('always [madvise] never', 'glibc.malloc.check=1', True),
    ('always [madvise] never', 'glibc.malloc.hugetlb=1', False),
    ('[always] madvise never', None, False),
    ('always madvise [never]', None, False),
    (None, None, False),  # Not Linux.
  ],
)
def test_huge_pages_are_hinted_at_where_they_must_be_asked_for(
  tmp_path, monkeypatch, system, tunables, hinted
):
  monkeypatch.delenv('GLIBC_TUNABLES', raising=False)
  if tunables:
    monkeypatch.setenv('GLIBC_TUNABLES', tunables)
  if system:
    (tmp_path / 'enabled').write_text(f'{system}\n')
  hint = memory_hint(tmp_path / 'enabled')
  assert ('GLIBC_TUNABLES=glibc.malloc.hugetlb=1' in hint) == hinted
