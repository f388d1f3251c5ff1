"""What a model card says of the data that a run has learned from."""

import collections
import os
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from rvmae_jax.data.sources.listing import read_rows
from rvmae_jax.data.sources.splits import canonical_split
from rvmae_jax.data.text import plain_name
from rvmae_jax.tools.card.markdown import (
  Markdown,
  code,
  join,
  settings,
  table,
)

# Under either spelling.
LICENCE_COLUMNS = ('licence', 'license')
NOT_GIVEN = Markdown('*not given*')


def section(
  config: ConfigDict,
  manifest: Mapping[str, Any] | None,
  licences: Mapping[str, str],
) -> str:
  """Sources with numbers, hashes and licences, earlier runs' included.

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
      entry['alias'] + (f' (of {entry["run"]})' if entry.get('run') else ''),
      settings(entry['config']),
      f'{entry["num_videos"]:,}'
      if 'num_videos' in entry
      else Markdown('*not counted*'),
      _gigabytes(entry),
      code(entry['sha256_of_list'])
      if 'sha256_of_list' in entry
      else Markdown('*none*'),
      licence_of(entry, licences),
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
  return f'{table((*columns, "licence"), rows)}\n\n{note}'


def licence_of(entry: Mapping[str, Any], licences: Mapping[str, str]) -> str:
  """What is given for a source, or what its list says of each video."""
  if entry['alias'] in licences:
    return Markdown(licences[entry['alias']])
  config = entry['config']
  if config['name'] != 'listing' or not os.path.exists(config['path']):
    return NOT_GIVEN
  split = canonical_split(config.get('split', 'train'))
  rows = [
    row
    for row in read_rows(config['path'], config.get('root', ''))
    if split in ('all', row.get('split', split))
  ]
  found = collections.Counter(
    next(
      (v for k, v in row.items() if plain_name(k) in LICENCE_COLUMNS and v),
      NOT_GIVEN,
    )
    for row in rows
  )
  if {*found} == {NOT_GIVEN}:
    return NOT_GIVEN
  first, *others = (join(name, f' ({n:,})') for name, n in found.most_common())
  return join(first, *(join(', ', other) for other in others))


def _gigabytes(entry: Mapping[str, Any]) -> str:
  return f'{entry["num_bytes"] / 1e9:.3g}' if entry.get('num_bytes') else '-'
