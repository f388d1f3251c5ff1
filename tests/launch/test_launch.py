"""Launch scripts: what they would run, and what they run, with stand-ins."""

import os
import pathlib
import re
import shutil
import string
import subprocess
import sys
import time

import pytest
import yaml

from rvmae_jax.config_utils import load_config

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAUNCH = ROOT / 'launch'
TRAIN = [
  '--config',
  'configs/rvm_pretrain.py:variant=S',
  '--workdir',
  'runs/a run',
]
COMMAND = (
  'python -m rvmae_jax.train --config configs/rvm_pretrain.py:variant=S '
  "--workdir 'runs/a run'"
)

pytestmark = pytest.mark.skipif(
  shutil.which('bash') is None, reason='the launch scripts need bash'
)


def _bash(*arguments, cwd=ROOT, **environment) -> str:
  """Standard output of a bash command that must succeed."""
  process = subprocess.run(
    ['bash', *map(str, arguments)],
    cwd=cwd,
    env={**os.environ, **environment},
    capture_output=True,
    text=True,
    timeout=60,
  )
  assert process.returncode == 0, process.stderr
  return process.stdout


@pytest.fixture(name='stand_in')
def _stand_in(tmp_path):
  """Makes programs that come before the real ones; gives the environment."""
  programs = tmp_path / 'bin'
  programs.mkdir()

  def make(**scripts: str) -> dict[str, str]:
    for name, script in scripts.items():
      (programs / name).write_text(f'#!/bin/sh\n{script}\n')
      (programs / name).chmod(0o755)
    return {
      'VIRTUAL_ENV': str(tmp_path),
      'PATH': f'{programs}:{os.environ["PATH"]}',
    }

  return make


def test_every_script_can_be_started():
  scripts = [*LAUNCH.glob('*.sh'), ROOT / '.ci' / 'run']
  for script in scripts:
    starts = script.read_text().startswith('#!/usr/bin/env bash\n')
    assert os.access(script, os.X_OK) == starts, script
  sourced_only = [s.name for s in scripts if not os.access(s, os.X_OK)]
  assert sourced_only == ['environment.sh']


@pytest.mark.parametrize('name', ['local', 'gpu_slurm', 'tpu_pod'])
def test_without_arguments_the_usage_is_printed(name):
  out = _bash(LAUNCH / f'{name}.sh')
  assert f'launch/{name}.sh' in out
  assert '--dry' in out
  assert '#' not in out


def test_dry_local_installs_and_trains_with_the_arguments_as_given():
  out = _bash(LAUNCH / 'local.sh', '--dry', *TRAIN, VIRTUAL_ENV='/nowhere')
  assert out == f'python -m pip install --quiet --editable .\nexec {COMMAND}\n'


def test_dry_local_asks_for_the_accelerator_named():
  out = _bash(
    LAUNCH / 'local.sh',
    '--dry',
    *TRAIN,
    VIRTUAL_ENV='/nowhere',
    RVMAE_EXTRAS='cuda',
  )
  assert "pip install --quiet --editable '.[cuda]'\n" in out


@pytest.mark.parametrize(
  'given, taken',
  [
    ('', 'glibc.malloc.hugetlb=1'),
    ('glibc.malloc.check=1', 'glibc.malloc.check=1:glibc.malloc.hugetlb=1'),
    ('glibc.malloc.hugetlb=0', 'glibc.malloc.hugetlb=0'),
  ],
)
def test_scripts_ask_for_huge_pages_unless_told_otherwise(
  stand_in, given, taken
):
  out = _bash(
    LAUNCH / 'local.sh',
    *TRAIN,
    **stand_in(python='echo "$GLIBC_TUNABLES"'),
    GLIBC_TUNABLES=given,
  )
  assert out.splitlines()[-1] == taken


def test_scripts_start_from_any_folder(tmp_path):
  out = _bash(LAUNCH / 'local.sh', '--dry', *TRAIN, cwd=tmp_path)
  assert out.endswith(f'exec {COMMAND}\n')


def test_dry_slurm_shows_the_same_command_for_every_process():
  out = _bash(
    LAUNCH / 'gpu_slurm.sh',
    '--dry',
    *TRAIN,
    SLURM_JOB_ID='7',
    SLURM_NTASKS='4',
    SLURM_CPUS_ON_NODE='96',
  )
  (srun,) = [line for line in out.splitlines() if line.startswith('srun')]
  assert srun.startswith('srun --cpus-per-task=96 ')
  assert f'{COMMAND} --coordinator=' in srun
  assert srun.endswith(':20007 --num_processes=4')


def test_slurm_gives_each_process_its_number(stand_in):
  environment = stand_in(
    python='echo "python $*"',
    srun='shift; for i in 0 1; do SLURM_PROCID=$i "$@"; done',
    hostname='echo node1',
  )
  out = _bash(
    LAUNCH / 'gpu_slurm.sh',
    '--config',
    'c.py',
    SLURM_SUBMIT_DIR=str(ROOT),
    SLURM_JOB_ID='7',
    SLURM_NTASKS='2',
    **environment,
  )
  train = 'python -m rvmae_jax.train --config c.py'
  ids = '--coordinator=node1:20007 --num_processes=2'
  assert out.splitlines() == [
    'python -m pip install --quiet --editable .[cuda]',
    f'{train} {ids} --process_id=0',
    f'{train} {ids} --process_id=1',
  ]


def test_slurm_saves_and_queues_again_when_its_time_ends(stand_in, tmp_path):
  environment = stand_in(
    python=':',
    # Ends the job's time as soon as its task runs. As the real one, it answers
    # SIGTERM by killing its tasks.
    srun=f"""export BATCH=$PPID
      sh -c 'trap "echo saved; exit 143" TERM; echo $$ >{tmp_path}/task
        kill -TERM $BATCH; sleep 9 >/dev/null 2>&1 & wait' &
      trap "kill -KILL $!; exit 1" TERM
      wait $!""",
    # Without --batch it signals the tasks and not the script.
    scancel=f'[ "$*" = "--signal=TERM 7" ] && kill $(cat {tmp_path}/task)',
    scontrol='echo "scontrol $*"',
  )
  process = subprocess.run(
    ['bash', str(LAUNCH / 'gpu_slurm.sh'), '--config', 'c.py'],
    env={**os.environ, **environment, 'SLURM_JOB_ID': '7'},
    capture_output=True,
    text=True,
    timeout=60,
  )
  assert process.stdout.splitlines() == ['saved', 'scontrol requeue 7']


def test_dry_tpu_pod_shows_copy_install_and_start():
  out = _bash(LAUNCH / 'tpu_pod.sh', '--dry', 'pod', 'us-east1-d', *TRAIN)
  assert out.startswith('tar --create')
  assert 'tpu-vm scp' in out
  assert out.count('ssh pod --zone=us-east1-d --worker=all') == 2
  assert 'Started' not in out


def test_tpu_pod_without_all_that_it_needs_is_no_success():
  process = subprocess.run(
    ['bash', LAUNCH / 'tpu_pod.sh', 'pod', 'us-east1-d'],
    capture_output=True,
    text=True,
    check=False,
  )
  assert process.returncode == 1
  assert process.stderr.startswith('tpu_pod.sh: TPU, ZONE and arguments of')


def test_tpu_pod_starts_the_same_command_on_a_worker(stand_in, tmp_path):
  """The worker here is a folder: gcloud copies into it and runs in it."""
  worker = tmp_path / 'worker'
  worker.mkdir()
  environment = stand_in(
    gcloud=f"""cd {worker}
      case "$4" in
        scp) cp "$5" . ;;
        ssh) for last; do :; done; exec sh -c "${{last#--command=}}" ;;
      esac""",
    python='for word; do echo "$word"; done',
    python3='mkdir -p .venv/bin; ln -sf "$(command -v true)" .venv/bin/python',
  )
  _bash(LAUNCH / 'tpu_pod.sh', 'pod', 'us-east1-d', *TRAIN, **environment)
  pid = (worker / 'rvmae_jax' / 'train.pid').read_text().strip()
  assert pid.isdigit()
  log = worker / 'rvmae_jax' / 'train.log'
  expected = [
    *('-m', 'pip', 'install', '--quiet', '--editable', '.[tpu]'),
    *('-m', 'rvmae_jax.train', *TRAIN, '--coordinator=auto'),
  ]
  _wait_for(lambda: log.read_text().splitlines() == expected)


def _wait_for(condition, timeout_s: float = 10.0) -> None:
  deadline_s = time.monotonic() + timeout_s
  while not condition():
    assert time.monotonic() < deadline_s
    time.sleep(0.02)


def test_quickstart_runs_all_its_steps(stand_in):
  environment = stand_in(python='echo "python $*"')
  out = _bash(LAUNCH / 'quickstart.sh', RVMAE_WORKDIR='runs/q', **environment)
  assert [line for line in out.splitlines() if line.startswith('python')] == [
    'python -m pip install --quiet --editable .[vis]',
    'python -m rvmae_jax.train --config configs/rvm_quickstart.py '
    '--workdir runs/q',
    'python -m rvmae_jax.evaluate --config configs/eval_sprites.py '
    '--checkpoint runs/q --workdir runs/q/evaluation',
    'python -m rvmae_jax.tools.report --workdir runs/q',
  ]
  assert 'Open runs/q/report.html in a browser' in out.splitlines()[-1]


def test_quickstart_learns_from_the_videos_that_can_be_read(stand_in, tmp_path):
  videos = tmp_path / 'my videos'
  videos.mkdir()
  environment = stand_in(
    python='echo "python $*"; case "$*" in *doctor*) exit 1 ;; esac'
  )
  out = _bash(
    LAUNCH / 'quickstart.sh',
    'my videos',
    cwd=tmp_path,
    RVMAE_WORKDIR='runs/q,2',
    **environment,
  )
  assert f'rvmae_jax.tools.doctor videos {videos} --quick\n' in out
  assert 'Continuing with the videos that can be read.' in out
  assert f'prepare --input {videos} --output runs/q,2/shards' in out
  (config,) = re.findall(r'train --config (\S+) ', out)
  source = load_config(config).data.sources.videos
  assert source.path == 'runs/q,2/shards'
  assert '--config configs/eval_sprites.py:own_videos --checkpoint' in out


def test_quickstart_stops_where_a_step_fails(stand_in):
  environment = stand_in(
    python='echo "python $*"; case "$*" in *train*) exit 3 ;; esac'
  )
  process = subprocess.run(
    ['bash', str(LAUNCH / 'quickstart.sh')],
    env={**os.environ, **environment},
    capture_output=True,
    text=True,
  )
  assert process.returncode == 3
  assert 'rvmae_jax.evaluate' not in process.stdout


def test_a_python_that_does_not_run_is_passed_over(stand_in):
  environment = stand_in(
    **{
      'python3.12': 'exit 127',
      'python3.13': f'exec {sys.executable} "$@"',
    }
  )
  find = f'source {LAUNCH}/environment.sh; find_python'
  assert _bash('-c', find, **environment, PYTHON='') == 'python3.13\n'
  assert _bash('-c', find, **environment, PYTHON=sys.executable) == (
    f'{sys.executable}\n'
  )


def test_no_usable_python_is_a_clear_error(stand_in):
  names = ('python3.12', 'python3.13', 'python3.11', 'python3')
  environment = stand_in(**dict.fromkeys(names, 'exit 1'))
  process = subprocess.run(
    ['bash', '-c', f'source {LAUNCH}/environment.sh; find_python'],
    env={**os.environ, **environment, 'PYTHON': '/no/python'},
    capture_output=True,
    text=True,
  )
  assert process.returncode == 1
  assert 'no Python 3.11 or newer' in process.stderr
  assert '(tried /no/python, python3.12' in process.stderr


def test_an_environment_is_prepared_once(stand_in):
  environment = stand_in(python='echo "python $*"')
  prepare = f'source {LAUNCH}/environment.sh; prepare_environment vis'
  assert _bash('-c', prepare, **environment) == (
    'python -m pip install --quiet --editable .[vis]\n'
  )
  assert _bash('-c', prepare, **environment) == ''


def test_the_cluster_manifest_asks_for_all_machines_of_its_slice():
  text = (LAUNCH / 'gke_xpk.yaml').read_text()
  values = {
    'NAME': 'rvm',
    'IMAGE': 'image',
    'CONFIG': 'configs/rvm_pretrain.py:variant=L',
    'WORKDIR': 'gs://bucket/rvm',
  }
  # Nothing else has to be filled in, and nothing is left empty.
  manifest = yaml.safe_load(string.Template(text).substitute(values))
  job = manifest['spec']['replicatedJobs'][0]['template']['spec']
  pod = job['template']['spec']
  topology = pod['nodeSelector']['cloud.google.com/gke-tpu-topology']
  rows, columns = map(int, topology.split('x'))
  (container,) = pod['containers']
  chips = container['resources']['limits']['google.com/tpu']
  assert job['parallelism'] * chips == rows * columns
  assert job['completions'] == job['parallelism']
  assert container['command'] == [
    *('python', '-m', 'rvmae_jax.train'),
    '--config=configs/rvm_pretrain.py:variant=L',
    '--workdir=gs://bucket/rvm',
    '--coordinator=auto',
  ]
