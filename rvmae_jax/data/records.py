"""What a source yields: a plain dict that says where a video is."""

import hashlib
import json
from typing import NotRequired, Protocol, TypedDict

import numpy as np

NO_LABEL = -1


class Record(TypedDict):
  """One video and its label; cheap to make, nothing is decoded yet.

  At most one of `video`, `jpegs` and `frames` is there; without them `path` is
  opened: a video file, or a folder of image files in order of their names.

  Attributes:
    path: names the video in logs and errors, whether or not it is opened.
    label: class index, -1 where there is none.
    video: an encoded file, such as the bytes of an .mp4.
    jpegs: one encoded image (JPEG, PNG, ...) for each frame, or its path.
    frames: [T, H, W, 3] uint8.
    timestamps_s: of each of `jpegs` or `frames`; 30 a second if absent.
    start_s, end_s: use only frames with start_s <= time < end_s, in seconds
      after the first frame.
    columns: what else is known of the video, by name, such as who made it; what
      results can be told apart by.
  """

  path: str
  label: int
  video: NotRequired[bytes]
  jpegs: NotRequired[list[bytes] | list[str]]
  frames: NotRequired[np.ndarray]
  timestamps_s: NotRequired[list[float]]
  start_s: NotRequired[float]
  end_s: NotRequired[float]
  columns: NotRequired[dict[str, str]]


class Source(Protocol):
  """Random access to records; picklable, since Grain may use processes.

  A source whose records are not files has a method `identities()` besides: an
  iterator of `fingerprints.Identity`, one a video, that decodes nothing.

  Attributes:
    class_names: name of each label, empty where labels have no names.
  """

  class_names: list[str]

  def __len__(self) -> int: ...

  def __getitem__(self, index: int) -> Record: ...


def records_digest(source: Source) -> str:
  """A hash of what a source holds: which videos, labels and times, in order.

  Nothing is decoded, and contents of files do not count. A source with
  `identities` is hashed by these and by the names of its classes.
  """
  digest = hashlib.sha256(json.dumps(list(source.class_names)).encode())
  if hasattr(source, 'identities'):
    # Without licence, consent and source, which change no result.
    rows = (list(identity[:3]) for identity in source.identities())
  else:
    rows = (source[number] for number in range(len(source)))
  for row in rows:
    digest.update(json.dumps(row, sort_keys=True, default=str).encode())
  return digest.hexdigest()
