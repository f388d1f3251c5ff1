"""Results by group: which videos does a network get right, and which not?

A group is all videos that share the value of a column: the `source` that they
come from, or any of their record's `columns`, such as those of a listing.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from rvmae_jax.evals.videos import Videos
from rvmae_jax.metrics.classification import top_k_hits
from rvmae_jax.metrics.intervals import wilson_interval
from rvmae_jax.registry import near_names

_NO_VALUE = '(none)'


def read_columns(
  videos: Videos, places: np.ndarray, columns: Sequence[str]
) -> dict[str, np.ndarray]:
  """The values of columns for rows of batches.

  Args:
    videos: that the rows were read from.
    places: [n, 2], `host/source` and `host/record` of each row.
    columns: 'source', the alias even where records have a column of that name,
      or names in the `columns` of records.

  Returns:
    column -> [n] str; '(none)' where a record does not say.

  Raises:
    ValueError: no record has such a column.
  """
  if not columns:
    return {}
  aliases = list(videos.sources)
  records = [
    {
      **videos.built[source][index].get('columns', {}),
      'source': aliases[source],
    }
    for source, index in places.tolist()
  ]
  known = {name for record in records for name in record}
  for column in columns:
    if records and column not in known:
      raise ValueError(
        f'No video has a column {column!r} to group results by. '
        f'{near_names(column, known)}'
      )
  return {
    column: np.array([record.get(column, _NO_VALUE) for record in records])
    for column in columns
  }


def accuracy_by_group(
  scores: np.ndarray,
  labels: np.ndarray,
  groups: Mapping[str, np.ndarray],
  prefix: str = 'strata',
) -> dict[str, float]:
  """Top-1 accuracy of each group, with a 95 % interval.

  Args:
    scores: [n, classes].
    labels: [n] int.
    groups: column -> [n] values, see `read_columns`.
    prefix: what the numbers' names begin with.

  Returns:
    `<prefix>/<column>/<value>/top1`, `low`, `high` (Wilson's interval) and
    `count`; a slash in a value becomes an underscore.
  """
  hits, numbers = top_k_hits(scores, labels), {}
  for column, values in groups.items():
    for value in np.unique(values):
      of_group = hits[values == value]
      name = f'{prefix}/{column}/{value.replace("/", "_")}'
      low, high = wilson_interval(of_group.sum(), len(of_group))
      numbers |= {
        f'{name}/top1': float(of_group.mean()),
        f'{name}/low': low,
        f'{name}/high': high,
        f'{name}/count': len(of_group),
      }
  return numbers
