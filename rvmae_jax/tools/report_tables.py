"""What a report says of a run's evaluations: sections with a table each.

`results` is `evaluations` of the metrics.json that `rvmae_jax.evaluate` writes:
alias -> `name`, `metrics` and more.
"""

import math
from collections.abc import Mapping
from typing import Any

from rvmae_jax.visualize import page
from rvmae_jax.visualize.probes import POOLING_NAMES, SOURCE_NAMES


def reconstruction_section(results: Mapping[str, Any]) -> str:
  """How well targets, or else tubelets of clips, were rebuilt."""
  metrics = find_metrics(results, 'reconstruction')
  if not metrics:
    return _clip_reconstruction(results)
  rows = []
  for gap in list_gaps(metrics):
    cells = [
      f'{metrics[f"gap_{gap}/{method}/psnr_hidden"]:.2f}'
      for method in ('mean_colour', 'copy_last', 'model')
    ]
    cells[-1] = f'<b>{cells[-1]}</b>'
    cells.append(f'<b>{metrics[f"gap_{gap}/gain_db"]:+.2f}</b>')
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
  return page.section(
    'Reconstruction of hidden patches',
    table
    + page.note(
      f'PSNR and SSIM on the hidden patches of {metrics["num_videos"]} videos '
      'that were not trained on. The gap counts from the last source frame to '
      'the target; the mean colour is that of the last source frame.'
    ),
  )


def _clip_reconstruction(results: Mapping[str, Any]) -> str:
  metrics = find_metrics(results, 'clip_reconstruction')
  if not metrics:
    return page.section('Reconstruction', '<p>It was not evaluated.</p>')
  methods = {
    'mean colour of what is shown': 'mean_colour',
    'the same place in other frames': 'copy_time',
    '<b>model</b>': 'model',
  }
  rows = [
    [
      name,
      f'{metrics[f"{method}/psnr_hidden"]:.2f}',
      f'{metrics[f"{method}/ssim_hidden"]:.3f}',
    ]
    for name, method in methods.items()
  ]
  return page.section(
    'Reconstruction of hidden tubelets',
    page.table(('rebuilt by', 'PSNR, dB', 'SSIM'), rows)
    + page.note(
      f'On the hidden tubelets of {metrics["num_videos"]} videos that were not '
      'trained on. A model of normalised patches is given their true mean and '
      'scale.'
    ),
  )


def probes_section(results: Mapping[str, Any]) -> str:
  """Accuracies of kNN and linear probe, baselines beside them."""
  heading = 'Recognition from frozen features'
  probes = [
    (title, results[alias]['metrics'])
    for title, name in (('linear probe', 'linear_probe'), ('kNN', 'knn'))
    for alias in results
    if results[alias]['name'] == name
  ]
  if not probes:
    return page.section(heading, '<p>No probe was run.</p>')
  probes = [(title, metrics) for title, metrics in probes if metrics]
  if not probes:
    return page.section(
      heading,
      '<p>These videos carry no labels, or only one: nothing was probed.</p>',
    )
  rows = []
  for title, metrics in probes:
    for pooling in list_poolings(metrics):
      accuracies = [
        metrics.get(f'{source}/{pooling}/top1') for source in SOURCE_NAMES
      ]
      best = max(value for value in accuracies if value is not None)
      cells = [_percent(value, bold=value == best) for value in accuracies]
      rows.append(
        [
          f'{title}, {POOLING_NAMES.get(pooling, pooling)}',
          *cells,
          _percent(metrics['chance']),
        ]
      )
  metrics = probes[0][1]
  error = 50 / math.sqrt(metrics['num_test'])  # Where accuracy is one half.
  return page.section(
    heading,
    page.table(('accuracy, %', *SOURCE_NAMES.values(), 'chance'), rows)
    + page.note(
      f'{metrics["num_classes"]} classes; learned from {metrics["num_train"]} '
      f'videos, asked about {metrics["num_test"]} others (standard error at '
      f'most {error:.1f} points). Random weights: the same network before '
      'training. Per-frame features: its encoder without recurrence.'
    ),
  )


def find_metrics(results: Mapping[str, Any], name: str) -> dict[str, float]:
  """Numbers of the first evaluation of that name that has any."""
  found = (r['metrics'] for r in results.values() if r['name'] == name)
  return next(filter(None, found), {})


def list_gaps(metrics: Mapping[str, float]) -> list[int]:
  """Gaps of the evaluation `reconstruction`, rising."""
  return sorted(
    int(key.split('/')[0].removeprefix('gap_'))
    for key in metrics
    if key.endswith('/gain_db')
  )


def list_poolings(metrics: Mapping[str, float]) -> list[str]:
  """Poolings of a probe, in the order in which it ran them."""
  return list(dict.fromkeys(k.split('/')[1] for k in metrics if '/' in k))


def _percent(value: float | None, bold: bool = False) -> str:
  if value is None:
    return ''
  return f'<b>{100 * value:.1f}</b>' if bold else f'{100 * value:.1f}'
