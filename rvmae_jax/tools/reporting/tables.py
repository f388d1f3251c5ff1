"""Evaluations in a report, as HTML tables.

`results` are some of `evaluations` in the metrics.json of `rvmae_jax.evaluate`:
alias -> `name`, `metrics` and more.
"""

import math
from collections.abc import Mapping
from typing import Any

from rvmae_jax.evals.tables import format_number, pivot
from rvmae_jax.visualize import page
from rvmae_jax.visualize.probes import ENCODER_NAMES, POOLING_NAMES

_MOST_ROWS = 18
_COHERENCE = {
  'difference_error_hidden': 'error of the change',
  'difference_error_hidden_frames': 'the same, whole frames hidden',
  'warped_error_hidden': 'error along the flow',
  'warped_error_hidden_frames': 'the same, whole frames hidden',
}


def plain_tables(results: Mapping[str, Any]) -> str:
  """Every number under its own name, one table for rows of a kind.

  Long tables are folded away; pictures say the same at a glance.
  """
  parts = []
  for alias, result in results.items():
    tables = []
    for columns, rows in pivot(result['metrics']):
      names = [column.replace('_', ' ') for column in columns]
      if list(rows) == ['']:
        values = map(format_number, rows[''])
        tables.append(page.note(', '.join(map(' '.join, zip(names, values)))))
        continue
      table = page.table(
        ('', *names),
        [
          [_row_name(name), *map(format_number, row)]
          for name, row in rows.items()
        ],
      )
      if len(rows) > _MOST_ROWS:
        table = page.fold(f'Table of {len(rows)} rows', table)
      tables.append(table)
    if len(results) > 1:
      parts.append(page.subsection(alias.replace('_', ' ')))
    parts += tables or [page.paragraph('It had nothing to measure.')]
  return page.join(*parts)


def _row_name(name: str) -> str:
  """`random/mean` as people call it."""
  parts = (
    ENCODER_NAMES.get(part) or POOLING_NAMES.get(part) or part.replace('_', ' ')
    for part in name.split('/')
  )
  return ', '.join(parts)


def reconstruction_tables(results: Mapping[str, Any]) -> str:
  """How well targets, or tubelets of clips, were rebuilt."""
  makers = {
    'reconstruction': _target_reconstruction,
    'clip_reconstruction': _clip_reconstruction,
  }
  parts = [
    makers[result['name']](result['metrics'])
    for result in results.values()
    if result['metrics']
  ]
  return page.join(*parts)


def _target_reconstruction(metrics: Mapping[str, float]) -> str:
  rows = []
  for gap in list_gaps(metrics):
    cells = [
      f'{metrics[f"gap_{gap}/{method}/psnr_hidden"]:.2f}'
      for method in ('mean_colour', 'copy_last', 'model')
    ]
    cells[-1] = page.bold(cells[-1])
    cells.append(page.bold(f'{metrics[f"gap_{gap}/gain_db"]:+.2f}'))
    cells += [
      f'{metrics[f"gap_{gap}/{method}/ssim_hidden"]:.3f}'
      for method in ('copy_last', 'model')
    ]
    rows.append([str(gap), *cells])
  table = page.table(
    (
      *('gap, steps', 'mean colour, dB', 'copy last, dB', 'model, dB'),
      *('gain over copy, dB', 'copy last, SSIM', 'model, SSIM'),
    ),
    rows,
  )
  note = page.note(
    f'PSNR and SSIM on the hidden patches of {metrics["num_videos"]} videos. '
    'The gap counts from the last source frame to the target; the mean colour '
    'is that of the last source frame.'
  )
  return page.join(table, note, _coherence(metrics))


def _clip_reconstruction(metrics: Mapping[str, float]) -> str:
  methods = {
    'mean colour of what is shown': 'mean_colour',
    'the same place in other frames': 'copy_time',
    page.bold('model'): 'model',
  }
  rows = [
    [
      name,
      f'{metrics[f"{method}/psnr_hidden"]:.2f}',
      f'{metrics[f"{method}/ssim_hidden"]:.3f}',
    ]
    for name, method in methods.items()
  ]
  note = page.note(
    f'On the hidden tubelets of {metrics["num_videos"]} videos. A model of '
    'normalised patches is given their true mean and scale.'
  )
  table = page.table(('rebuilt by', 'PSNR, dB', 'SSIM'), rows)
  return page.join(table, note, _coherence(metrics))


def _coherence(metrics: Mapping[str, float]) -> str:
  """Errors between consecutive frames, where they were measured."""
  rows: dict[str, dict[str, str]] = {}
  for key, value in metrics.items():
    row, _, column = key.rpartition('/')
    if column in _COHERENCE and not key.startswith('ratio_'):
      rows.setdefault(row, {})[column] = format_number(value)
  if not rows:
    return ''
  columns = [
    c for c in _COHERENCE if any(c in cells for cells in rows.values())
  ]
  table = page.table(
    ('from frame to frame', *(_COHERENCE[c] for c in columns)),
    [
      [
        row.replace('_', ' ').replace('/', ', '),
        *(cells.get(c, '') for c in columns),
      ]
      for row, cells in rows.items()
    ],
  )
  note = (
    'Squared errors of pixels hidden in both frames. For a still picture, the '
    'error of the change is the energy of the true change.'
  )
  if any('flow' in _COHERENCE[c] for c in columns):
    note += (
      ' Along the flow, even the true video has some error, whereas a picture '
      'of a single colour has none.'
    )
  return page.join(table, page.note(note))


def probe_tables(results: Mapping[str, Any]) -> str:
  """Accuracies of probes, baselines beside them, and more of the network's."""
  probes = {
    alias: result['metrics']
    for alias, result in results.items()
    if result['metrics']
  }
  if not probes:
    return page.paragraph(
      'These videos carry no labels, or only one class: nothing was probed.'
    )
  rows, of_network = [], {}
  for alias, metrics in probes.items():
    for pooling in list_poolings(metrics):
      title = f'{_title(alias)}, {POOLING_NAMES.get(pooling, pooling)}'
      accuracies = [
        metrics.get(f'{source}/{pooling}/top1') for source in ENCODER_NAMES
      ]
      best = max(value for value in accuracies if value is not None)
      cells = [
        _percent(
          value,
          metrics.get(f'{source}/{pooling}/top1_std'),
          bold=value == best,
        )
        for source, value in zip(ENCODER_NAMES, accuracies)
      ]
      rows.append([title, *cells, _percent(metrics['chance'])])
      of_network[title] = {
        name: metrics.get(f'trained/{pooling}/{name}') for name in _OF_NETWORK
      }
  table = page.table(('accuracy, %', *ENCODER_NAMES.values(), 'chance'), rows)
  note = page.note(
    f'{_questions(probes)} Random weights: the same network before training. '
    'Per-frame features: its encoder without recurrence.'
  )
  return page.join(table, note, _of_network(of_network))


def _questions(probes: Mapping[str, Mapping[str, float]]) -> str:
  """What probes were trained and tested on; whose it is where they differ."""
  asked: dict[tuple, list[str]] = {}
  for alias, metrics in probes.items():
    numbers = (metrics[f'num_{of}'] for of in ('classes', 'train', 'test'))
    asked.setdefault((*numbers,), []).append(_title(alias))
  sentences = []
  for (num_classes, num_train, num_test), titles in asked.items():
    whose = '' if len(asked) == 1 else f'{", ".join(titles)}: '
    error = 50 / math.sqrt(num_test)  # Where accuracy is one half.
    sentences.append(
      f'{whose}{num_classes} classes; {num_train} training and {num_test} test '
      f'videos (standard error at most {error:.1f} points).'
    )
  return ' '.join(sentences)


def _of_network(probes: Mapping[str, Mapping[str, float | None]]) -> str:
  """What else is known of probes on the network itself."""
  columns = [
    name
    for name in _OF_NETWORK
    if any(numbers[name] is not None for numbers in probes.values())
  ]
  if not columns:
    return ''
  rows = [
    [title, *(_percent(numbers[name]) for name in columns)]
    for title, numbers in probes.items()
  ]
  heads = 'of the trained network, %', *(_OF_NETWORK[name] for name in columns)
  note = page.note(
    'Validation: the held-out part of the training videos by which penalty or '
    'head was chosen. Calibration error: how far confidence differs from the '
    'share that is right, over 15 bins.'
  )
  return page.join(page.table(heads, rows), note)


# Numbers of a probe on the trained network -> column.
_OF_NETWORK = {
  'validation_top1': 'validation',
  'top5': 'top 5',
  'mean_class': 'mean over classes',
  'ece': 'calibration error',
}


def retrieval_tables(results: Mapping[str, Any]) -> str:
  """Recall@k and mAP, a table for each search."""
  tables = []
  for alias, result in results.items():
    metrics = result['metrics']
    if not metrics:
      continue
    depths = [
      int(key.rpartition('_')[2])
      for key in metrics
      if key.startswith('chance/recall_at_')
    ]
    columns = [f'recall_at_{k}' for k in depths] + ['map']
    names = [
      key.removesuffix('/map') for key in metrics if key.endswith('/map')
    ]
    best = max(names, key=lambda name: metrics[f'{name}/map'])
    rows = [
      [
        _row_name(name),
        *(
          _percent(
            metrics[f'{name}/{column}'],
            metrics.get(f'{name}/{column}_std'),
            bold=name == best,
          )
          for column in columns
        ),
      ]
      for name in names
    ]
    heads = (
      f'{_title(alias)}, %',
      *(f'Recall@{k}' for k in depths),
      'mAP',
    )
    note = page.note(
      f'{metrics["num_queries"]} queries, each among '
      f'{metrics["num_gallery"]} videos, by cosine.'
    )
    tables += [page.table(heads, rows), note]
  return page.join(*tables) or page.paragraph('These videos carry no labels.')


def _title(alias: str) -> str:
  return {'knn': 'kNN'}.get(alias, alias.replace('_', ' '))


def find_metrics(results: Mapping[str, Any], name: str) -> dict[str, float]:
  """Numbers of the first evaluation of that name that has any."""
  found = (r['metrics'] for r in results.values() if r['name'] == name)
  return next(filter(None, found), {})


def list_gaps(metrics: Mapping[str, float]) -> list[int]:
  """Gaps of the evaluation `reconstruction`, rising."""
  return sorted(
    int(key.split('/')[0].removeprefix('gap_'))
    for key in metrics
    if key.startswith('gap_') and key.endswith('/gain_db')
  )


def list_poolings(metrics: Mapping[str, float]) -> list[str]:
  """Poolings of a probe, in the order in which it ran them."""
  parts = (key.split('/') for key in metrics)
  return list(
    dict.fromkeys(p[1] for p in parts if len(p) == 3 and p[2] == 'top1')
  )


def _percent(
  value: float | None, deviation: float | None = None, bold: bool = False
) -> str:
  if value is None:
    return ''
  text = f'{100 * value:.1f}'
  if deviation is not None:
    text += f' ± {100 * deviation:.1f}'
  return page.bold(text) if bold else text
