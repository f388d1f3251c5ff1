"""Writes MODEL_CARD.md: what is known about a run, and what is not.

  python -m rvmae_jax.tools.model_card --workdir runs/rvm \\
    [--evaluation runs/rvm/evaluation] [--licence videos='CC BY 4.0'] \\
    [--intended_use TEXT] [--limits TEXT]

Facts come from what the run and its evaluations wrote: config, command,
environment, training manifest, metrics. Licences come from `--licence`, by the
name that the config gives the source, or else from the list of videos, as do
consent and origin (docs/privacy.md). Where nothing is known the card says so;
no number, name or licence is made up. TEXT may hold Markdown.
"""

import json
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
from ml_collections import ConfigDict

from rvmae_jax import config_utils, files
from rvmae_jax.commands import command_line, explains_errors
from rvmae_jax.data import manifest as manifests
from rvmae_jax.data.writing import make_folder_of, write_whole
from rvmae_jax.parts import Parts, build_parts
from rvmae_jax.registry import check_known
from rvmae_jax.tools.card import data as card_data
from rvmae_jax.tools.card import metrics as card_metrics
from rvmae_jax.tools.card.markdown import (
  Markdown,
  bold,
  bullets,
  code_block,
  fact,
  heading,
  join,
  settings,
  table,
)
from rvmae_jax.tools.measured import (
  EVALUATION,
  METRICS,
  read_measured,
  weights_note,
)
from rvmae_jax.visualize.curves import read_lines

# In the workdir of a run, by default.
CARD = 'MODEL_CARD.md'
INTENDED_USE = (
  'Research on representations of video: its features as they are, or as a '
  'start for fine-tuning, on videos like those that it was trained and '
  'evaluated on.'
)
OUT_OF_SCOPE = (
  'Decisions about people, identification or surveillance of persons, and any '
  'use where an error does harm: nothing here was measured for them.'
)
NOT_KNOWN = Markdown('*Not known.*')


def write_card(
  workdir: str | pathlib.Path,
  evaluations: Sequence[str | pathlib.Path] | None = None,
  licences: Mapping[str, str] | None = None,
  texts: Mapping[str, str] | None = None,
) -> str:
  """The card of a run.

  Args:
    workdir: of the run.
    evaluations: workdirs of `rvmae_jax.evaluate`; None means the folder
      `evaluation` of the run, if it is there.
    licences: by alias of the source, in Markdown.
    texts: what a person has to say: `name`, `weights_licence`, `intended_use`,
      `out_of_scope`, `limits`, `contact`, in Markdown; each may be left out.

  Returns:
    Markdown.

  Raises:
    FileNotFoundError: `workdir` holds no run, or a folder no evaluation.
    ValueError: an evaluation is of another run, or of untrained weights.
  """
  workdir = pathlib.Path(workdir)
  if not (workdir / 'config.json').exists():
    raise FileNotFoundError(
      f'No config.json in {workdir}; --workdir must be that of a training run.'
    )
  texts = {k: Markdown(v) for k, v in (texts or {}).items() if v}
  path = workdir / 'config.json'
  with files.naming(path, 'is not the config of a run', remedy=''):
    config = config_utils.from_json(path.read_text())
  if evaluations is None:
    found = workdir / EVALUATION
    evaluations = [found] if (found / METRICS).exists() else []
  paths = [pathlib.Path(folder) / METRICS for folder in evaluations]
  run_config = json.loads(config_utils.to_json(config))
  measured = [read_measured(path, run_config) for path in paths]
  results, notes = {}, []
  progress = _progress(workdir / 'metrics.jsonl')
  for folder, found in zip(_folder_names(paths), measured):
    if note := weights_note(found, progress.num_done):
      notes.append(f'{folder} {note}'.strip())
    for alias, result in found['evaluations'].items():
      results[f'{folder}{alias}'] = result
  name = texts.get('name') or config_utils.model_title(config.model)
  data = manifests.read(workdir)
  sources = data['sources'] if data else ()
  aliases = {*config.data.sources, *(entry['alias'] for entry in sources)}
  check_known('source', aliases, *(licences or {}))
  parts = _parts(config)
  sections = {
    'Intended use': _uses(texts),
    'Model': _model(config, parts),
    'Training data': card_data.section(config, data, licences or {}),
    'Training': _training(workdir, config, parts, progress),
    'Evaluation': '\n\n'.join([*notes, card_metrics.section(results)]),
    'Robustness': card_metrics.robustness_section(results),
    'Groups': card_metrics.groups_section(results),
    'Limits': _limits(texts, config, data, results),
    'To repeat': _commands(workdir, measured),
  }
  parts = [heading(1, name)]
  for title, text in sections.items():
    parts += [heading(2, title), text]
  return '\n\n'.join(parts) + '\n'


def _folder_names(paths: Sequence[pathlib.Path]) -> list[str]:
  """What tells evaluations of several datasets apart: their aliases do not."""
  if len(paths) < 2:
    return [''] * len(paths)
  folders = [path.parent for path in paths]
  if len({folder.name for folder in folders}) == len(folders):
    return [f'{folder.name}/' for folder in folders]
  return [f'{folder}/' for folder in folders]


def _uses(texts) -> str:
  return bullets(
    fact('For', texts.get('intended_use', INTENDED_USE)),
    fact('Not for', texts.get('out_of_scope', OUT_OF_SCOPE)),
    fact('Licence of the weights', texts.get('weights_licence', NOT_KNOWN)),
    fact('Contact', texts.get('contact', NOT_KNOWN)),
  )


def _parts(config: ConfigDict) -> Parts | None:
  """What the config stands for; None where it cannot be built any more."""
  try:
    return build_parts(config)
  except (ValueError, FileNotFoundError):
    return None


def _model(config: ConfigDict, parts: Parts | None) -> str:
  height, width = config.data.crop.size
  parameters = NOT_KNOWN
  if parts:
    sizes = [leaf.size for leaf in jax.tree.leaves(parts.shapes.params)]
    parameters = f'{sum(sizes) / 1e6:,.2f} M, what only training needs included'
  return bullets(
    f'Model: {settings(config.model)}',
    fact('Parameters', parameters),
    f'Input: frames of {height} x {width} pixels, RGB; clips: '
    f'{settings(config.data.clip)}',
    f'Learned by: {settings(config.objective)}; losses '
    f'{settings(config.losses)}',
    f'Mask: {settings(config.data.get("mask") or {}) or "none"}',
  )


def _training(
  workdir: pathlib.Path,
  config: ConfigDict,
  parts: Parts | None,
  progress: '_Progress',
) -> str:
  steps, seconds, timed_steps = progress
  done, flops = NOT_KNOWN, NOT_KNOWN
  if steps is not None:
    clips = steps * config.batch_size
    done = (
      f'{steps:,} of {config.total_steps:,}, {config.batch_size} clips each, '
      f'{clips:,} clips in all'
    )
  if parts and parts.flops_per_clip:
    flops = f'{parts.flops_per_clip / 1e9:,.2f} G for a clip, '
    if steps is not None:
      flops += f'{parts.flops_per_clip * clips:.3g} in all '
    flops += '(counted from shapes, forward and backward)'
  time = NOT_KNOWN
  if timed_steps:
    time = (
      f'{seconds / 3600:.3g} hours for {timed_steps:,} of the steps, without '
      'compilation, evaluations and saving'
    )
  environment, path = {}, workdir / 'environment.json'
  if path.exists():
    environment = files.read_json(path)
  versions = ', '.join(
    f'{name} {version}'
    for name, version in environment.items()
    if name not in ('commit', 'device')
  )
  return bullets(
    fact('Steps', done),
    fact('FLOPs', flops),
    fact('Time', time),
    fact('Devices', environment.get('device', NOT_KNOWN)),
    f'Optimizer: {settings(config.optimizer)}',
    f'Schedule: {settings(config.schedule)}',
    fact('Commit', environment.get('commit', NOT_KNOWN)),
    fact('Versions', versions or NOT_KNOWN),
  )


class _Progress(NamedTuple):
  """Steps done, None if not known, and seconds that some of them took."""

  num_done: int | None = None
  seconds: float = 0.0
  timed_steps: int = 0


def _progress(path: pathlib.Path) -> _Progress:
  """What the log says."""
  if not path.exists():
    return _Progress()
  last, seconds, timed_steps = 0, 0.0, 0
  with files.naming(path, 'is not a log of a run, or is damaged'):
    for row in read_lines(path):
      if 'loss' not in row:
        continue  # Evaluations between two lines of the log.
      if row.get('steps_per_s'):
        timed_steps += row['step'] - last
        seconds += (row['step'] - last) / row['steps_per_s']
      last = row['step']
  return _Progress(last, seconds, timed_steps)


def _limits(texts, config, data, results) -> str:
  """What a person says, and what follows from the facts."""
  names = {result['name'] for result in results.values()}
  lines = [texts.get('limits', '')]
  if config.checkpoint.init_from:
    lines.append(f'It began with the weights of {config.checkpoint.init_from}.')
  if data and data['unknown_origin']:
    lines.append(
      f'What {data["unknown_origin"]} was trained on is not known; its videos '
      'may be among those of any test.'
    )
  if data is None:
    lines.append(
      'The run left no list of its videos, so whether test videos are among '
      'them was not checked.'
    )
  leaks = [alias for alias, result in results.items() if 'leakage' in result]
  if leaks:
    lines.append(
      join(
        bold(f'Trained on test videos of {", ".join(leaks)}'),
        ': those numbers say nothing about other videos.',
      )
    )
  for name, what in (
    ('robustness', 'Robustness to corrupted videos'),
    ('cost', 'What its features cost on a device'),
  ):
    if name not in names:
      lines.append(f'{what} was not measured.')
  if not any(card_metrics.groups(r['metrics']) for r in results.values()):
    lines.append('Whether it serves groups of people equally was not measured.')
  if 'seed' in config:
    lines.append(f'One run, seed {config.seed}: others will differ.')
  return bullets(*filter(None, lines))


def _commands(workdir: pathlib.Path, measured) -> str:
  path = workdir / 'command.txt'
  commands = [path.read_text().strip()] if path.exists() else []
  commands += [found['command'] for found in measured if 'command' in found]
  if not commands:
    return NOT_KNOWN
  facts = [
    (name, found['environment'].get(name))
    for found in measured[:1]
    for name in ('device', 'commit')
    if found.get('environment', {}).get(name)
  ]
  parts = [code_block('\n'.join(commands), 'bash')]
  if facts:
    parts.append(table(('evaluated with', ''), facts))
  return '\n\n'.join(parts)


@explains_errors('model_card')
def main(argv: Sequence[str] | None = None) -> int:
  """The command line; returns the exit code."""
  parser = command_line('rvmae_jax.tools.model_card', __doc__)
  add = parser.add_argument
  add('--workdir', required=True, help='workdir of the run')
  add(
    '--evaluation',
    action='append',
    help='its workdir; may be repeated; default: WORKDIR/evaluation',
  )
  add('--out', default='', help=f'file to write; default: WORKDIR/{CARD}')
  add(
    '--licence',
    action='append',
    default=[],
    metavar='ALIAS=TEXT',
    help='licence of the videos of a source; may be repeated',
  )
  for name in ('name', 'weights_licence', 'intended_use', 'out_of_scope'):
    add(f'--{name}', default='')
  add('--limits', default='', help='what else users must know')
  add('--contact', default='')
  arguments = parser.parse_args(argv)
  make_folder_of(arguments.out)
  workdir = pathlib.Path(arguments.workdir)
  licences = {}
  for text in arguments.licence:
    alias, equals, licence = text.partition('=')
    if not equals:
      parser.error(f'--licence {text!r} must be ALIAS=TEXT.')
    licences[alias] = licence
  card = write_card(
    workdir,
    arguments.evaluation,
    licences,
    vars(arguments),
  )
  out = pathlib.Path(arguments.out or workdir / CARD)
  write_whole(out, card)
  missing = card.count(NOT_KNOWN)
  print(f'{out}: {missing} facts are unknown, and the card says so')
  return 0


if __name__ == '__main__':
  sys.exit(main())
