"""What a run has learned from: its videos by name, size and fingerprint.

  workdir/training_manifest.json       config, classes, number, bytes and list
                                       of each source; what the run started from
  workdir/training_videos/<id>.csv.gz  path,num_bytes,fingerprint of each video,
                                       and licence,consent,source if known

A run that starts from another one's weights has seen that one's videos too, so
it takes over what is known of them. Where videos are no files (sprites, TFDS),
names tell which they are, and fingerprints are empty.
"""

import collections
import concurrent.futures
import csv
import gzip
import hashlib
import io
import itertools
import json
import threading
import time
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from absl import logging
from etils import epath
from ml_collections import ConfigDict

from rvmae_jax import config_utils, files
from rvmae_jax.data.fingerprints import Identity, identify, size_bytes
from rvmae_jax.data.provenance import COLUMNS, most_common, provenance_of
from rvmae_jax.data.sources import SOURCES
from rvmae_jax.data.writing import write_whole

FILE = 'training_manifest.json'
_LISTS = 'training_videos'
# Reading both ends of so many files takes a minute on a disk and some more on
# a network; it happens beside the training.
_MAX_FINGERPRINTS = 1_000_000
_THREADS = 16
_MOST_OF_A_LINE = 2**18
_BLOCK = 4096  # Videos that are under way at a time.


def list_videos(
  source: Any, max_fingerprints: int = _MAX_FINGERPRINTS
) -> Iterator[Identity]:
  """The identities of a source's videos, each once, in order.

  A source whose records are not files says them itself, by `identities()`.

  Args:
    source: see `records.Source`.
    max_fingerprints: of the files; those after have a path only.
  """
  if hasattr(source, 'identities'):
    yield from source.identities()
    return
  # Parts of one video are one file.
  columns = {}
  for record in map(source.__getitem__, range(len(source))):
    columns.setdefault(record['path'], record.get('columns', {}))
  paths = list(columns)
  videos = itertools.chain(
    _in_threads(identify, paths[:max_fingerprints]),
    map(Identity, paths[max_fingerprints:]),
  )
  for video in videos:
    yield video._replace(**provenance_of(columns[video.path]))


def _in_threads(
  look: Callable[[str], Identity], paths: list[str]
) -> Iterator[Identity]:
  """Identifies many files at a time; holds results of one block at most."""
  with concurrent.futures.ThreadPoolExecutor(_THREADS) as threads:
    for start in range(0, len(paths), _BLOCK):
      yield from threads.map(look, paths[start : start + _BLOCK])


def record_in_background(
  workdir: epath.PathLike,
  sources: Mapping[str, Mapping[str, Any]],
  init_from: str = '',
) -> threading.Thread:
  """Starts `record` and goes on; `join` what is returned at the end.

  What goes wrong is logged: no training should fail for it.
  """

  def run():
    try:
      record(workdir, sources, init_from)
    except Exception:
      logging.exception('The training manifest could not be written.')

  thread = threading.Thread(target=run, name='manifest', daemon=True)
  thread.start()
  return thread


def record(
  workdir: epath.PathLike,
  sources: Mapping[str, Mapping[str, Any]],
  init_from: str = '',
) -> None:
  """Writes the manifest of a run, or adds what it lacks.

  A source whose config is there already is not looked at again.

  Args:
    workdir: of the run.
    sources: `config.data.sources`.
    init_from: a run, checkpoint or file that the run started from, or ''.
  """
  workdir = epath.Path(workdir)
  (workdir / _LISTS).mkdir(parents=True, exist_ok=True)
  manifest = read(workdir) or _beginning(workdir, init_from)
  for alias, config in sources.items():
    config = _plain(config)
    if any(config == entry['config'] for entry in own_sources(manifest)):
      continue
    start_s = time.monotonic()
    arguments = {k: v for k, v in config.items() if k != 'weight'}
    source = SOURCES.build(arguments)
    entry = {
      'alias': alias,
      'config': config,
      'class_names': list(source.class_names),
      **_write(workdir, list_videos(source)),
      # Of sources that know of it, see `sources.listing` and `sources.shards`.
      'left_out': getattr(source, 'left_out', {}),
      'anonymised': getattr(source, 'anonymised', {}),
    }
    manifest['sources'].append(entry)
    logging.info(
      'Manifest of %s: %d videos, %.1f s.',
      *(alias, entry['num_videos'], time.monotonic() - start_s),
    )
  write_whole(workdir / FILE, json.dumps(manifest, indent=1))


def read(workdir: epath.PathLike) -> dict[str, Any] | None:
  """The manifest of a run; None if it has none.

  Raises:
    ValueError: it is damaged.
  """
  path = epath.Path(workdir) / FILE
  if not path.exists():
    return None
  manifest = files.read_json(path)
  with files.naming(path, 'is no manifest of a run, or is damaged'):
    lists = [entry['list'] for entry in manifest['sources']]
    if {type(text) for text in (manifest['unknown_origin'], *lists)} - {str}:
      raise ValueError('unknown_origin or a list is no text')
    for entry in own_sources(manifest):
      dict(entry['config'])
  return manifest


def own_sources(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
  """Entries of what the run itself trained on, not those it started from."""
  return [entry for entry in manifest['sources'] if not entry.get('run')]


def source_name(entry: Mapping[str, Any]) -> str:
  """The alias of a source, with the earlier run that trained on it, if any."""
  return entry['alias'] + (f' (of {entry["run"]})' if entry.get('run') else '')


def learned_classes(manifest: Mapping[str, Any]) -> dict[str, list[str]]:
  """Names of the classes of what a run was trained on, where it kept them."""
  return {
    f'data.sources.{entry["alias"]} of the training': entry['class_names']
    for entry in own_sources(manifest)
    if 'class_names' in entry
  }


def find_run(checkpoint: epath.PathLike) -> epath.Path | None:
  """The workdir with a manifest that a run or checkpoint path means.

  Args:
    checkpoint: a workdir, or one of its `checkpoints/<step>`.

  Returns:
    None for a file of weights, or a run that left no manifest.
  """
  path = epath.Path(checkpoint)
  workdirs = [path, path.parent.parent] if path.is_dir() else []
  return next((w for w in workdirs if (w / FILE).exists()), None)


def read_videos(
  workdir: epath.PathLike, entry: Mapping[str, Any]
) -> Iterator[Identity]:
  """The videos of one entry of a manifest's `sources`.

  Raises:
    ValueError: their list is damaged.
  """
  path = epath.Path(workdir) / entry['list']
  content = path.read_bytes()
  text = {'encoding': 'utf-8', 'errors': 'surrogateescape'}
  with (
    files.naming(path, 'is no list of videos, or is damaged'),
    gzip.open(io.BytesIO(content), 'rt', **text) as file,
  ):
    # Lines are read up to a limit: damage may turn the whole list into one.
    for row in csv.DictReader(iter(lambda: file.readline(_MOST_OF_A_LINE), '')):
      if None in row.values():
        raise ValueError(f'a row is cut off: {row!r:.200}')
      num_bytes = int(row['num_bytes']) if row['num_bytes'] else None
      yield Identity(
        row['path'], num_bytes, row['fingerprint'], **provenance_of(row)
      )


class SeenVideos:
  """The videos that a run has seen; tells which of others are among them.

  Args:
    workdir: of a run with a manifest.
  """

  def __init__(self, workdir: epath.PathLike):
    manifest = read(workdir)
    # What the first run started from, where nobody knows its videos.
    self.unknown_origin = manifest['unknown_origin']
    # Of what the run itself learned, see `learned_classes`.
    self.class_names = learned_classes(manifest)
    self._sizes, self._fingerprints, self._names = set(), set(), set()
    for entry in manifest['sources']:
      for video in read_videos(workdir, entry):
        if video.fingerprint:
          self._fingerprints.add(video.fingerprint)
          self._sizes.add(video.num_bytes)
        else:
          self._names.add(video.path)

  def find(self, source: Any) -> list[str]:
    """Paths of the videos of a source that the run has seen."""
    if hasattr(source, 'identities'):
      return self._among(source.identities())
    return self.find_files(source[i]['path'] for i in range(len(source)))

  def find_files(self, paths: Iterable[str]) -> list[str]:
    """The files, or folders of images, that the run has seen.

    Only their sizes are read, unless a video seen has the same.
    """
    return self._among(_in_threads(self._identify, [*dict.fromkeys(paths)]))

  def _among(self, videos: Iterable[Identity]) -> list[str]:
    return [
      video.path
      for video in videos
      if video.fingerprint in self._fingerprints or video.path in self._names
    ]

  def _identify(self, path: str) -> Identity:
    try:
      num_bytes = size_bytes(path)
    except OSError:
      return Identity(path)
    return identify(path) if num_bytes in self._sizes else Identity(path)


def _beginning(workdir: epath.Path, init_from: str) -> dict[str, Any]:
  """A manifest with what is known of the weights that a run starts from."""
  manifest = {'sources': [], 'unknown_origin': ''}
  if not init_from:
    return manifest
  run = find_run(init_from)
  if run is None:
    return manifest | {'unknown_origin': init_from}
  former = read(run)
  for entry in former['sources']:
    write_whole(workdir / entry['list'], (run / entry['list']).read_bytes())
    manifest['sources'].append({'run': str(run), **entry})
  return manifest | {'unknown_origin': former['unknown_origin']}


def _write(workdir: epath.Path, videos: Iterable[Identity]) -> dict[str, Any]:
  """Writes a list of videos and returns what the manifest says of it."""
  buffer, digest = io.BytesIO(), hashlib.sha256()
  num_videos = num_fingerprints = num_bytes = 0
  values = {column: collections.Counter() for column in COLUMNS}
  with gzip.GzipFile('', 'wb', fileobj=buffer, mtime=0) as file:

    def write(text: str) -> None:
      # Names of files need not be UTF-8.
      content = text.encode(errors='surrogateescape')
      file.write(content)
      digest.update(content)

    writer = csv.writer(types.SimpleNamespace(write=write), lineterminator='\n')
    writer.writerow(Identity._fields)
    for video in videos:
      writer.writerow(video)
      num_videos += 1
      num_fingerprints += bool(video.fingerprint)
      num_bytes += video.num_bytes or 0
      for column, counter in values.items():
        counter[getattr(video, column)] += 1
  sha256 = digest.hexdigest()
  name = f'{_LISTS}/{sha256[:12]}.csv.gz'
  write_whole(workdir / name, buffer.getvalue())
  return {
    'num_videos': num_videos,
    'num_fingerprints': num_fingerprints,
    'num_bytes': num_bytes,
    'list': name,
    'sha256_of_list': sha256,
    'provenance': {
      column: most_common(counter)
      for column, counter in values.items()
      if counter.keys() - {''}
    },
  }


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
  """A config as it reads back from JSON: lists for tuples."""
  return json.loads(config_utils.to_json(ConfigDict(config)))
