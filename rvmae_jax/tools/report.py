"""Writes a run and its evaluation as one HTML file that needs no network.

  python -m rvmae_jax.tools.report --workdir runs/quickstart

Reads the run's config.json and metrics.jsonl, and metrics.json and the pictures
of `rvmae_jax.evaluate`. What is missing is left out.
"""

import io
import json
from collections.abc import Iterable, Mapping
from typing import Any

from absl import flags
from etils import epath

from rvmae_jax import config_utils, files
from rvmae_jax.commands import run_command
from rvmae_jax.data.writing import make_folder_of, write_whole
from rvmae_jax.evals import leakage
from rvmae_jax.tools.measured import (
  EVALUATION,
  METRICS,
  read_measured,
  weights_note,
)
from rvmae_jax.tools.reporting.sections import evaluation_sections
from rvmae_jax.tools.reporting.tables import (
  find_metrics,
  list_gaps,
  list_poolings,
  plain_tables,
)
from rvmae_jax.training.environment import typed_command
from rvmae_jax.training.health import Span, find_spans
from rvmae_jax.visualize import can_draw, page
from rvmae_jax.visualize.curves import draw_curves, read_history, read_lines
from rvmae_jax.visualize.probes import ENCODER_NAMES, POOLING_NAMES
from rvmae_jax.visualize.style import DPI

# The pooling that the report's first lines quote. With others, baselines are
# weaker; with differences between frames, random networks are stronger.
_PREFERRED = 'mean_std_8'


def write_report(
  workdir: epath.PathLike,
  evaluation: epath.PathLike | None,
  out: epath.PathLike,
) -> None:
  """Writes the report of a run.

  Args:
    workdir: of the run; all three may be in a bucket (gs://).
    evaluation: workdir of `rvmae_jax.evaluate`; None means the folder
      `evaluation` of the run, if it is there.
    out: the file to write.

  Raises:
    FileNotFoundError: `workdir` holds no run, or `evaluation` nothing.
    ValueError: a file is damaged; it is named. Or the evaluation is of another
      run, or of untrained weights.
  """
  workdir = epath.Path(workdir)
  if not (workdir / 'config.json').exists():
    raise FileNotFoundError(
      f'No config.json in {workdir}; --workdir must be that of a training run.'
    )
  path = workdir / 'config.json'
  config = files.read_json(path)
  log = workdir / 'metrics.jsonl'
  lines, num_done = [], None
  if log.exists():
    with files.naming(log, 'is not a log of a run, or is damaged'):
      lines = [*read_lines(log)]
      num_done = max((line['step'] for line in lines), default=0)
  with files.naming(path, 'is not a config of a run', remedy=''):
    title = config_utils.model_title(config['model'])
    body = [page.join(page.title(title), _origin(config, num_done))]
  with files.naming(log, 'is not a log of a run, or is damaged'):
    problems = find_spans(lines, config)
  measured, path = {'evaluations': {}}, workdir / EVALUATION / METRICS
  if evaluation is not None or path.exists():
    path = epath.Path(evaluation or path.parent) / METRICS
    measured = read_measured(path, config)
  with files.naming(path, 'was not written by evaluate', remedy=''):
    results = measured['evaluations']
    sections = evaluation_sections(results, path.parent)
    body += [
      _findings(results, problems),
      page.note(note) if (note := weights_note(measured, num_done)) else '',
      page.contents([heading for heading, _ in sections]),
      *(page.section(heading, content) for heading, content in sections),
      _curves(log),
      _all_numbers(results),
      _repeat(workdir, measured),
      _settings(config, measured),
    ]
  # Names of files may hold bytes that are no text.
  text = page.page(title, body).encode(errors='backslashreplace')
  write_whole(epath.Path(out), text)


def _origin(config: Mapping[str, Any], num_done: int | None) -> str:
  """A line on steps, clips and sources; `num_done` is None without a log."""
  sources = config['data']['sources'].values()
  names = ', '.join(
    str(source.get('path', source['name'])) for source in sources
  )
  planned = config['total_steps']
  if num_done is None:
    return page.note(
      f'{planned:,} steps of {config["batch_size"]} clips from {names} were '
      'planned; how many were done is not known, for there is no log'
    )
  steps = (
    f'{planned:,}' if num_done >= planned else f'{num_done:,} of {planned:,}'
  )
  return page.note(
    f'{steps} steps of {config["batch_size"]} clips '
    f'({num_done * config["batch_size"]:,} in all) from {names}'
  )


def _findings(results: Mapping[str, Any], problems: Iterable[Span]) -> str:
  """The two or three sentences that a reader in a hurry takes away."""
  leaky = [alias for alias, r in results.items() if leakage.of_result(r)]
  sentences = [
    page.join(page.bold('This run may have collapsed.'), f' {problem}')
    for problem in problems
  ]
  if leaky:
    sentences.append(
      page.join(
        page.bold('Trained on test videos'),
        f', so that these numbers are not to be trusted: {", ".join(leaky)}.',
      )
    )
  metrics = find_metrics(results, 'reconstruction')
  if metrics:
    gap = list_gaps(metrics)[-1]
    gain = metrics[f'gap_{gap}/gain_db']
    better = 'better' if gain > 0 else 'worse'
    sentences.append(
      page.join(
        f'Hidden patches {gap} steps ahead are rebuilt ',
        page.bold(f'{abs(gain):.1f} dB {better}'),
        ' than by copying the last source frame.',
      )
    )
  metrics = find_metrics(results, 'linear_probe')
  if metrics:
    poolings = list_poolings(metrics)
    pooling = _PREFERRED if _PREFERRED in poolings else poolings[0]
    accuracy = metrics[f'trained/{pooling}/top1']
    baselines = [
      (metrics[key], name)
      for source, name in list(ENCODER_NAMES.items())[1:]
      if (key := f'{source}/{pooling}/top1') in metrics
    ]
    beside = ''
    if baselines:
      best, name = max(baselines)
      beside = f'; the best baseline, {name}, of {best:.1%}'
    sentences.append(
      page.join(
        'A linear probe of its features '
        f'({POOLING_NAMES.get(pooling, pooling)}) names the class of ',
        page.bold(f'{accuracy:.1%}'),
        f' of the test videos{beside}; chance is {metrics["chance"]:.1%}.',
      )
    )
  return page.findings(sentences)


def _curves(path: epath.Path) -> str:
  if not path.exists() or not can_draw():
    return ''
  with files.naming(path, 'is not a log of a run, or is damaged'):
    return _draw_curves(read_history(path))


def _draw_curves(history: Mapping[str, Any]) -> str:
  if 'loss' not in history:
    return ''
  # The trainer writes what its evaluations find as <alias>/gap_<n>/gain_db, or
  # for clips as <alias>/gain_db.
  gains = {
    name.removesuffix('/gain_db').replace('/', ', ').replace('_', ' '): name
    for name in history
    if name.endswith('/gain_db')
  }
  if len({name.partition('/')[0] for name in gains.values()}) == 1:
    gains = {label.rpartition(', ')[2]: name for label, name in gains.items()}
  panels = {
    'Training loss': {'loss': 'loss'},
    'PSNR on hidden patches, dB': {'training clips': 'psnr_hidden'},
    'Gain over copying on held-out videos, dB': gains,
  }
  png = io.BytesIO()
  draw_curves(history, panels).savefig(png, dpi=DPI, format='png')
  return page.section(
    'Training', page.figure(png.getvalue(), 'Curves of training')
  )


def _all_numbers(results: Mapping[str, Any]) -> str:
  """Every number of every evaluation, folded away."""
  parts = [
    page.fold(
      f'{alias} ({result["seconds"]:.0f} s)', plain_tables({alias: result})
    )
    for alias, result in results.items()
  ]
  return page.section('All numbers', page.join(*parts)) if parts else ''


def _repeat(workdir: epath.Path, measured: Mapping[str, Any]) -> str:
  command = workdir / 'command.txt'
  commands = [command.read_text().strip()] if command.exists() else []
  if 'command' in measured:
    commands.append(measured['command'])
  commands.append(typed_command('rvmae_jax.tools.report'))
  return page.section('To repeat', page.preformatted('\n'.join(commands)))


def _settings(config: Mapping[str, Any], measured: Mapping[str, Any]) -> str:
  configs = {'Training configuration': config}
  if 'config' in measured:
    configs['Evaluation configuration'] = measured['config']
  folds = [
    page.fold(name, page.preformatted(json.dumps(value, indent=2)))
    for name, value in configs.items()
  ]
  environment = measured.get('environment', {})
  versions = ', '.join(f'{name} {value}' for name, value in environment.items())
  return page.section(
    'Configuration and versions', page.join(*folds, page.note(versions))
  )


def main(args: flags.FlagValues) -> None:
  """Writes the report that the flags ask for."""
  workdir = epath.Path(args.workdir)
  out = epath.Path(args.out or workdir / 'report.html')
  make_folder_of(args.out)
  write_report(workdir, args.evaluation, out)
  print(f'{out} ({out.stat().length / 1e6:.1f} MB)')


if __name__ == '__main__':
  flags.DEFINE_string('workdir', None, 'Workdir of the run.')
  flags.DEFINE_string(
    'evaluation',
    None,
    'Workdir of the evaluation; default: WORKDIR/evaluation.',
  )
  flags.DEFINE_string(
    'out', None, 'File to write; default: WORKDIR/report.html.'
  )
  flags.mark_flag_as_required('workdir')
  run_command(main)
