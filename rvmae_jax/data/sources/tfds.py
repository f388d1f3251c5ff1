"""Videos of TensorFlow Datasets, in any order and without decoding them.

TFDS keeps a video as encoded images. They are handed on as they are, so that
only the frames of a clip are ever decoded. TensorFlow itself is not imported.
"""

import os
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from rvmae_jax.data.fingerprints import Identity, images_fingerprint
from rvmae_jax.data.readers import VideoError
from rvmae_jax.data.records import NO_LABEL, Record

# Each fingerprint needs the whole video to be read, while training runs: for
# 100,000 videos of 1 MB that is 100 GB.
_MAX_FINGERPRINTS = 100_000

# (file, place) -> size and fingerprint of a record.
_contents: dict[tuple[str, str], tuple[int, str]] = {}


class Tfds:
  """One split of a prepared TFDS dataset.

  Datasets in the ArrayRecord format are read by `tfds.data_source`. TFRecord
  files have no index, so their record lengths are walked through once and
  kept as offsets (8 bytes a video), after which they are read at random too.

  Args:
    dataset: such as 'ucf101/ucf101_1' or 'my_set:1.0.0'.
    split: as TFDS writes them, such as 'train' or 'train[:90%]'.
    data_dir: '' means the usual folder of TFDS.
    video_key, label_key: '' means the only Video and ClassLabel feature.
    download: prepare the dataset, as ArrayRecord, if it is not there yet.

  Attributes:
    class_names: of the ClassLabel feature.

  Raises:
    FileNotFoundError: the dataset is not prepared and `download` is False.
    ModuleNotFoundError: TFDS is not installed; it is an extra.
    ValueError: the split or feature is not there, or not the only one.
  """

  def __init__(
    self,
    dataset: str,
    split: str = 'train',
    data_dir: str = '',
    video_key: str = '',
    label_key: str = '',
    download: bool = False,
  ):
    try:
      import tensorflow_datasets as tfds
    except ModuleNotFoundError as error:
      raise ModuleNotFoundError(
        f'tfds: the dataset {dataset!r} is read with TensorFlow Datasets, '
        f"which is not installed ({error}): pip install 'rvmae_jax[tensorflow]'"
      ) from error
    builder = tfds.builder(dataset, data_dir=data_dir or None)
    self._video_key, self._label_key, self.class_names = find_features(
      builder.info.features, video_key, label_key
    )
    if not os.path.exists(builder.data_dir):
      if not download:
        raise FileNotFoundError(
          f'tfds: {dataset!r} is not prepared in {builder.data_dir}. Set '
          'download=True, or run: tfds build --file_format=array_record '
          f'{dataset}'
        )
      builder.download_and_prepare(file_format='array_record')
    if split.split('[')[0] not in builder.info.splits:
      raise ValueError(
        f'tfds: {dataset!r} has no split {split!r}, only '
        f'{", ".join(builder.info.splits)}.'
      )
    self._dataset = builder.info.full_name  # With config and version.
    self._name = f'{self._dataset}/{split}'
    self._parts = builder.info.splits[split].file_instructions
    if builder.info.file_format == tfds.core.FileFormat.TFRECORD:
      self._examples = TfRecords(self._parts)
    else:
      self._examples = builder.as_data_source(
        split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES
      )

  def __len__(self) -> int:
    return len(self._examples)

  def __getitem__(self, index: int) -> Record:
    path = f'{self._name}/{index}'
    try:
      features = self._features(index)
      label = NO_LABEL
      if self._label_key:
        label = features[self._label_key].int64_list.value[0]
    # A damaged record; what the readers say of it is of many classes.
    except Exception as error:
      raise VideoError(path, f'damaged record: {error}') from error
    return {
      'path': path,
      'label': label,
      'jpegs': list(features[self._video_key].bytes_list.value),
    }

  def identities(self) -> Iterator[Identity]:
    """Place and content of each record.

    The place is the same in all slices of a split. The fingerprint tells the
    same video in another config, where it has another place, as in the folds
    of UCF101. For it records are read as they are, once in a process; those
    after the first `_MAX_FINGERPRINTS` have a place only.
    """
    places = []
    for part in self._parts:
      # As in `TfRecords`, a `take` of -1 means all records that are left.
      end = part.examples_in_shard if part.take < 0 else part.skip + part.take
      name = f'{self._dataset}/{os.path.basename(part.filename)}'
      places += [
        (os.fspath(part.filename), f'{name}/{number}')
        for number in range(part.skip, end)
      ]
    for index, (file, place) in enumerate(places):
      key = file, place
      if key not in _contents and index < _MAX_FINGERPRINTS:
        images = self._features(index)[self._video_key].bytes_list.value
        _contents[key] = sum(map(len, images)), images_fingerprint(images)
      yield Identity(place, *_contents.get(key, ()))

  def _features(self, index: int) -> Any:
    """The features of a record by key, as TFDS stores them."""
    from tensorflow_datasets.proto import tf_example_pb2

    example = tf_example_pb2.Example.FromString(self._examples[index])
    return example.features.feature


def find_features(
  features: Any, video_key: str = '', label_key: str = ''
) -> tuple[str, str, list[str]]:
  """Which features of a TFDS dataset are the video and the label.

  Args:
    features: a `tfds.features.FeaturesDict`.
    video_key, label_key: '' means the only one there is.

  Returns:
    Key of the video, key of the label ('' if there is none), class names.

  Raises:
    ValueError: a key that is not there, no video, or more than one of a kind.
  """
  import tensorflow_datasets as tfds

  video_key = _only_key(features, video_key, tfds.features.Video)
  if not video_key:
    raise ValueError(f'tfds: no Video feature among {dict(features)}.')
  label_key = _only_key(features, label_key, tfds.features.ClassLabel)
  return video_key, label_key, features[label_key].names if label_key else []


def _only_key(features: Any, key: str, kind: type) -> str:
  """`key`, or else the only feature of a kind; '' if there is none."""
  keys = [k for k, feature in features.items() if isinstance(feature, kind)]
  if key and key not in keys:
    raise ValueError(
      f'tfds: {kind.__name__} feature {key!r} is not one of {keys}.'
    )
  if not key and len(keys) > 1:
    raise ValueError(f'tfds: choose one {kind.__name__} feature of {keys}.')
  return key or ''.join(keys)


class TfRecords:
  """Records of TFRecord files by index.

  A record lies in its file as: length (8 bytes), checksum of the length (4),
  data, checksum of the data (4).

  Args:
    parts: each has `filename`, `skip` records to leave out and `take` records
      to keep (-1: all), as TFDS's file instructions have.
  """

  def __init__(self, parts: Sequence[Any]):
    self._places = []  # (file, offset of the data, its length)
    for part in parts:
      places = _places(os.fspath(part.filename))
      end = None if part.take < 0 else part.skip + part.take
      self._places += places[part.skip : end]

  def __len__(self) -> int:
    return len(self._places)

  def __getitem__(self, index: int) -> bytes:
    path, offset, length = self._places[index]
    with open(path, 'rb') as file:
      file.seek(offset)
      return file.read(length)


def _places(path: str) -> list[tuple[str, int, int]]:
  """(file, offset, length) of each record; reads the lengths only."""
  places, offset, size = [], 0, os.path.getsize(path)
  with open(path, 'rb') as file:
    while offset < size:
      file.seek(offset)
      [length] = struct.unpack('<Q', file.read(8))
      places.append((path, offset + 12, length))
      offset += 12 + length + 4
  return places
