"""Videos of ArrayRecord shards, as tools/prepare writes them."""

import bisect
import collections
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import msgpack
import numpy as np
from array_record.python.array_record_data_source import ArrayRecordDataSource
from etils import epath

from rvmae_jax import files
from rvmae_jax.data.fingerprints import Identity
from rvmae_jax.data.provenance import (
  Requirements,
  check_columns,
  keep_required,
  provenance_of,
)
from rvmae_jax.data.readers import VideoError
from rvmae_jax.data.records import Record

MANIFEST = 'manifest.json'
# Names of files need not be UTF-8; Python then has surrogates in them.
_TEXT_ERRORS = 'surrogateescape'
_NO_MANIFEST = 'is not a manifest of shards, or is damaged'


class Shards:
  """The records of shards; reads one at a time, whichever is asked for.

  Args:
    path: a folder that tools/prepare has finished; may be in a bucket (gs://).
    split: one of those that were prepared.
    require: column -> value, or several of which one will do: videos without
      it are left out, see `provenance.keep_required`.

  Attributes:
    class_names: by label.
    left_out: how many videos were, here or in preparing, by what they lack.
    anonymised: what tools/prepare has hidden in them, if it has.

  Raises:
    FileNotFoundError: no such folder, no manifest in it, or shards are missing.
    ValueError: no such split, or a manifest or shard that is damaged.
  """

  def __init__(
    self,
    path: str,
    split: str = 'train',
    require: Requirements | None = None,
  ):
    manifest = read_manifest(path)
    if split not in manifest['splits']:
      raise ValueError(
        f'shards: no split {split!r} in {path!r}; it has '
        f'{", ".join(sorted(manifest["splits"]))}.'
      )
    self.class_names = manifest['class_names']
    self._path, self._split = path, split
    # A shard of nothing but skipped videos is empty.
    shards = [
      shard
      for shard in manifest['splits'][split]['shards']
      if shard['num_videos']
    ]
    names = [shard['file'] for shard in shards]
    # One look into the folder: in a bucket each takes a while.
    folder = epath.Path(path)
    there = {file.name for file in folder.iterdir()}
    missing = [str(folder / name) for name in names if name not in there]
    if missing:
      raise FileNotFoundError(
        f'shards: {len(missing)} of {len(names)} shards in the manifest do not '
        f'exist, such as {missing[0]!r}. Run tools/prepare again.'
      )
    # Opens a shard when it is first read, and again in each worker process.
    self._paths = [str(folder / name) for name in names]
    self._records = _open(self._paths)
    # Where each shard ends.
    self._ends = list(itertools.accumulate(s['num_videos'] for s in shards))
    num_videos = self._ends[-1] if shards else 0
    if len(self._records) != num_videos:
      raise ValueError(
        f'shards: {_manifest_file(path)} names {num_videos} videos of split '
        f'{split!r}, and the shards have {len(self._records)}. Run '
        'tools/prepare again.'
      )
    self.left_out = manifest.get('left_out', {}).get(split, {})
    self.anonymised = manifest['splits'][split].get('anonymised', {})
    self._kept = range(num_videos)
    if require:
      inputs = self._inputs(manifest)
      check_columns(manifest['inputs'], require, path)
      self._kept, more = keep_required(inputs, require, path)
      self.left_out = dict(
        collections.Counter(self.left_out) + collections.Counter(more)
      )

  def __len__(self) -> int:
    return len(self._kept)

  def __getitem__(self, index: int) -> Record:
    index = self._kept[index]
    try:
      return unpack(self._records[index])
    # What ArrayRecord and msgpack say of a damaged record or a shard that
    # cannot be read is of many classes.
    except Exception as error:
      path = self._paths[bisect.bisect_right(self._ends, index)]
      name = f'{path}, record {index} of split {self._split!r}'
      raise VideoError(name, f'damaged record: {error}') from error

  def identities(self) -> Iterator[Identity]:
    """The files that the shards were made from."""
    inputs = self._inputs(read_manifest(self._path))
    for video in map(inputs.__getitem__, self._kept):
      yield Identity(
        video['path'],
        video['num_bytes'],
        video['fingerprint'],
        **provenance_of(video.get('columns', {})),
      )

  def _inputs(self, manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a manifest says of the video of each record."""
    with files.naming(_manifest_file(self._path), _NO_MANIFEST):
      inputs = manifest['inputs']
      for video in inputs:
        _check_fields(video, path=str, num_bytes=int, fingerprint=str)
        _check_fields({'columns': {}} | video, columns=dict)
      inputs = [video for video in inputs if video['split'] == self._split]
      if len(inputs) != len(self._records):
        raise ValueError(
          f'it has {len(inputs)} inputs for {len(self._records)} videos'
        )
      return inputs


def _open(paths: list[str]) -> Any:
  """Random access to the records of all shards."""
  try:
    return ArrayRecordDataSource(paths) if paths else []
  except Exception as error:
    if len(paths) > 1:  # Which of them is it?
      for path in paths:
        _open([path])
      raise
    raise ValueError(
      f'shards: {paths[0]} is damaged: {error}. Delete it and the .json of the '
      'same name and run tools/prepare again; it makes what is missing.'
    ) from error


def read_manifest(path: str) -> dict:
  """What tools/prepare says of its shards; see its module docstring."""
  file = _manifest_file(path)
  if not file.exists():
    raise FileNotFoundError(
      f'shards: no {str(file)!r}. Either {path!r} holds no shards, or '
      'tools/prepare has not finished: start it again with the same arguments.'
    )
  manifest = files.read_json(file)
  with files.naming(file, _NO_MANIFEST):
    parts = manifest['splits'].values()
    hidden = [part.get('anonymised', {}) for part in parts]
    for counts in [*manifest.get('left_out', {}).values(), *hidden]:
      _check_fields(counts, **dict.fromkeys(counts, int))
    for part in parts:
      for shard in part['shards']:
        _check_fields(shard, file=str, num_videos=int)
    if {type(name) for name in manifest['class_names']} - {str}:
      raise ValueError('class_names has more than names')
  return manifest


def _manifest_file(path: str) -> epath.Path:
  return epath.Path(path) / MANIFEST


def _check_fields(entry: Mapping[str, Any], **types: type) -> None:
  for key, kind in types.items():
    if not isinstance(entry.get(key), kind):
      raise ValueError(
        f'{key}={entry.get(key)!r:.80} is not of type {kind.__name__}'
      )


def pack(record: Record) -> bytes:
  """A record with encoded frames as bytes; `unpack` is the inverse."""
  return msgpack.packb(record, unicode_errors=_TEXT_ERRORS)


def unpack(data: bytes) -> Record:
  """The record that `pack` made into bytes.

  Raises:
    ValueError: it is none.
  """
  record = msgpack.unpackb(data, unicode_errors=_TEXT_ERRORS)
  if not isinstance(record, dict):
    raise ValueError(f'a {type(record).__name__} is not a record')
  _check_fields(record, path=str, label=int)
  frames = record.get('jpegs', [])
  if 'video' in record:
    _check_fields(record, video=bytes)
  elif not frames or not all(isinstance(frame, bytes) for frame in frames):
    raise ValueError('there is neither a video nor a list of images')
  times = record.get('timestamps_s', [0.0] * len(frames))
  if frames and len(np.asarray(times, np.float64)) != len(frames):
    raise ValueError(f'{len(frames)} images have {len(times)} times')
  return record
