"""Features of videos on disk, as tools/extract writes them, and their reader.

    settings.json               what they were made with, class_names
    features-00000.array_record arrays of some videos, or features-00000.npz
    features-00000.json         what is in the shard, and what could not be read
    index.csv                   path,label,num_frames,shape,file,offset of each
                                video: written last, when all shards are there
    bad_videos.csv              path,reason of videos that could not be read

Each array is stored as NumPy's .npy, which names its shape and type: entry
`<offset>.npy` of an .npz, or record `offset` of an ArrayRecord file.
"""

import contextlib
import csv
import io
import os
import pathlib
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from rvmae_jax import files

INDEX, BAD_VIDEOS, SETTINGS = 'index.csv', 'bad_videos.csv', 'settings.json'
SUFFIXES = {'arrayrecord': '.array_record', 'npz': '.npz'}
COLUMNS = ('path', 'label', 'num_frames', 'shape', 'file', 'offset')
# How the .csv files are opened: names of videos need not be UTF-8.
CSV_TEXT = {'newline': '', 'encoding': 'utf-8', 'errors': 'surrogateescape'}


class FeatureFolder:
  """Features by video; reads one array at a time.

      folder = FeatureFolder('features')
      folder.rows[0]  # {'path': 'a.mp4', 'label': 3, 'num_frames': 16, ...}
      folder[0]  # An array, such as [16, 196, 768].

  Args:
    path: what tools/extract has finished.

  Attributes:
    rows: of index.csv, in order of the videos; `shape` is a tuple.
    settings: what they were made with.
    class_names: by label.

  Raises:
    FileNotFoundError: there is no index.
    ValueError: a file is damaged; it is named.
  """

  def __init__(self, path: str | os.PathLike):
    self._path = pathlib.Path(path)
    if not (self._path / INDEX).exists():
      raise FileNotFoundError(
        f'No {INDEX} in {str(path)!r}. Either it holds no features, or '
        'tools/extract has not finished: start it again with the same '
        'arguments.'
      )
    index, settings = self._path / INDEX, self._path / SETTINGS
    with (
      files.naming(index, 'is not an index of features, or is damaged'),
      open(index, **CSV_TEXT) as file,
    ):
      self.rows = [_parse(row) for row in csv.DictReader(file)]
    self.settings = files.read_json(settings)
    with files.naming(settings, 'has no class names, or is damaged'):
      self.class_names = list(self.settings['class_names'])
    self._open_file, self._read = '', None

  def __len__(self) -> int:
    return len(self.rows)

  def __getitem__(self, index: int) -> np.ndarray:
    row = self.rows[index]
    path = self._path / row['file']
    with files.naming(path, 'is not a shard of features, or is damaged'):
      if row['file'] != self._open_file:
        self._read = open_shard(path)
        self._open_file = row['file']
      array = self._read(row['offset'])
      if array.dtype.kind not in 'fiu':
        raise ValueError(
          f'entry {row["offset"]} holds {array.dtype}, and features are numbers'
        )
      if array.shape != row['shape']:
        raise ValueError(
          f'entry {row["offset"]} is {array.shape}, and {row["shape"]} in '
          f'{INDEX}'
        )
    return array

  @property
  def labels(self) -> np.ndarray:
    """[videos] int32, -1 where there is none."""
    return np.array([row['label'] for row in self.rows], np.int32)

  def stack(self) -> np.ndarray:
    """All features as one array [videos, ...].

    Raises:
      ValueError: their shapes differ, as with whole videos; or there are none.
    """
    shapes = {row['shape'] for row in self.rows}
    if not shapes:
      raise ValueError(f'{self._path} holds the features of no video.')
    if len(shapes) > 1:
      raise ValueError(
        f'Features of {len(shapes)} different shapes, such as '
        f'{sorted(shapes)[:2]}, cannot be stacked into one '
        'array; take them one by one.'
      )
    return np.stack([self[i] for i in range(len(self))])


def _parse(row: dict[str, str]) -> dict[str, Any]:
  numbers = {key: int(row[key]) for key in ('label', 'num_frames', 'offset')}
  shape = tuple(int(size) for size in row['shape'].split('x'))
  if pathlib.PurePath(row['file']).name != row['file']:
    raise ValueError(f'{row["file"]!r} is not the name of a file beside it')
  return {**row, **numbers, 'shape': shape}


def open_shard(path: str | os.PathLike) -> Callable[[int], np.ndarray]:
  """A function from offset to array of one shard."""
  if str(path).endswith('.npz'):
    arrays = np.load(path)
    files.check_archive(arrays.zip)
    return lambda offset: arrays[_entry(offset)]
  from array_record.python.array_record_data_source import ArrayRecordDataSource

  records = ArrayRecordDataSource(str(path))
  return lambda offset: np.load(io.BytesIO(records[offset]))


@contextlib.contextmanager
def shard_writer(
  path: str | os.PathLike,
) -> Iterator[Callable[[np.ndarray], int]]:
  """Writes a shard array by array; yields a function that gives the offset.

  Args:
    path: ends as one of `SUFFIXES`.
  """
  offsets = iter(range(10**9))
  if str(path).endswith('.npz'):
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_STORED) as archive:

      def write(array):
        offset = next(offsets)
        name = f'{_entry(offset)}.npy'
        with archive.open(name, 'w', force_zip64=True) as file:
          np.lib.format.write_array(file, array)
        return offset

      yield write
    return
  from array_record.python.array_record_module import ArrayRecordWriter

  writer = ArrayRecordWriter(str(path), 'group_size:1,uncompressed')

  def write_record(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    writer.write(buffer.getvalue())
    return next(offsets)

  yield write_record
  writer.close()


def _entry(offset: int) -> str:
  return f'{offset:06d}'
