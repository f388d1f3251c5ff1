"""What a model card says about the data that a run was trained on."""

from collections.abc import Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

from rvmae_jax.data.manifest import source_name
from rvmae_jax.data.provenance import COLUMNS, show_counts
from rvmae_jax.tools.card.markdown import (
  Markdown,
  bullets,
  code,
  join,
  settings,
  table,
)

NOT_GIVEN = Markdown('*not given*')


def section(
  config: ConfigDict,
  manifest: Mapping[str, Any] | None,
  licences: Mapping[str, str],
) -> str:
  """Sources with numbers, hashes and provenance, earlier runs' included.

  Args:
    config: of the run.
    manifest: see `rvmae_jax.data.manifest`; None if the run left none.
    licences: given by alias of the source, in Markdown.
  """
  if manifest is None:
    entries = [
      {'alias': alias, 'config': source.to_dict()}
      for alias, source in config.data.sources.items()
    ]
  else:
    entries = manifest['sources']
  rows = [
    (
      source_name(entry),
      settings(entry['config']),
      f'{entry["num_videos"]:,}'
      if 'num_videos' in entry
      else Markdown('*not counted*'),
      _gigabytes(entry),
      code(entry['sha256_of_list'])
      if 'sha256_of_list' in entry
      else Markdown('*none*'),
      *(_values(entry, column, licences) for column in COLUMNS),
    )
    for entry in entries
  ]
  columns = ('source', 'settings', 'videos', 'GB', 'sha256 of their list')
  note = (
    'The list of a source has path, size and fingerprint of every video; it '
    'lies in `training_videos/` of the run.'
    if manifest
    else 'The run left no training manifest: its videos are not listed.'
  )
  parts = [table((*columns, 'licence', 'consent', 'come from'), rows)]
  if notes := [line for entry in entries for line in _notes(entry)]:
    parts.append(bullets(*notes))
  return '\n\n'.join([*parts, note])


def _values(
  entry: Mapping[str, Any], column: str, licences: Mapping[str, str]
) -> str:
  """What is given for a source, or what its list says of its videos."""
  if column == 'licence' and entry['alias'] in licences:
    return Markdown(licences[entry['alias']])
  counts = entry.get('provenance', {}).get(column)
  if not counts:
    return NOT_GIVEN
  first, *others = (
    join(value or NOT_GIVEN, f' ({number:,})')
    for value, number in counts.items()
  )
  return join(first, *(join(', ', other) for other in others))


def _notes(entry: Mapping[str, Any]) -> Iterator[str]:
  """What was left out of a source, and what is hidden in it."""
  if entry.get('left_out'):
    yield (
      f'{entry["alias"]}: videos left out had {show_counts(entry["left_out"])}.'
    )
  if hidden := entry.get('anonymised'):
    yield (
      f'{entry["alias"]}: {hidden["num_faces"]:,} faces were hidden in '
      f'{hidden["num_videos_with_faces"]:,} videos. A detector found them, '
      'which misses some; those are not hidden.'
    )


def _gigabytes(entry: Mapping[str, Any]) -> str:
  return f'{entry["num_bytes"] / 1e9:.3g}' if entry.get('num_bytes') else '-'
