"""Waymo Open, version 2: boxes in the images of five cameras, as parquet.

PATH/validation/camera_image/SEGMENT.parquet
PATH/validation/camera_box/SEGMENT.parquet
"""

import io
import os
from typing import Any

import numpy as np
from PIL import Image

from rvmae_jax.data.layout import check_choice, files_ending
from rvmae_jax.data.readers import video_errors
from rvmae_jax.data.records import NO_LABEL
from rvmae_jax.data.scenes.videos import BoxVideo
from rvmae_jax.data.tracking.layout import require_folders

CAMERAS = {
  'front': 1,
  'front_left': 2,
  'front_right': 3,
  'side_left': 4,
  'side_right': 5,
}
_CAMERA, _TIME = 'key.camera_name', 'key.frame_timestamp_micros'
_OBJECT, _IMAGE = 'key.camera_object_id', '[CameraImageComponent].image'
_BOX = tuple(
  f'[CameraBoxComponent].box.{part}'
  for part in ('center.x', 'center.y', 'size.x', 'size.y')
)


class WaymoBoxes:
  """Segments as one camera sees them; boxes keep their object throughout.

  Args:
    path: the folder.
    split: folder of it; '' where `camera_image` lies in `path` itself.
    camera: one of `CAMERAS`.

  Raises:
    ImportError: pyarrow is not installed.
    FileNotFoundError: another layout; shows what was looked for and found.
    ValueError: an unknown camera.
  """

  def __init__(
    self, path: str, split: str = 'validation', camera: str = 'front'
  ):
    _parquet()
    check_choice('waymo', 'camera', camera, CAMERAS)
    self._path, self._camera = os.path.join(path, split), camera
    require_folders('waymo', self._path, 'camera_image', 'camera_box')
    images, boxes = (
      set(files_ending('waymo', os.path.join(self._path, part), '.parquet'))
      for part in ('camera_image', 'camera_box')
    )
    self._files = sorted(images & boxes)
    if not self._files:
      raise FileNotFoundError(
        f'waymo: no segment is in both folders of {self._path!r}; camera_image '
        f'has {sorted(images)[:2]}, camera_box {sorted(boxes)[:2]}.'
      )

  def __len__(self) -> int:
    return len(self._files)

  def __getitem__(self, index: int) -> BoxVideo:
    file = self._files[index]
    name = f'{os.path.splitext(file)[0]}/{self._camera}'
    images = self._read('camera_image', file, _TIME, _IMAGE)
    times, order = np.unique(images[_TIME], return_index=True)
    jpegs = [images[_IMAGE][i] for i in order]
    if not jpegs:
      raise ValueError(f'waymo: no image of the {self._camera} camera, {name}.')
    with video_errors(name), Image.open(io.BytesIO(jpegs[0])) as image:
      width, height = image.size
    rows = self._read('camera_box', file, _TIME, _OBJECT, *_BOX)
    objects, numbers = np.unique(
      np.array(rows[_OBJECT], str), return_inverse=True
    )
    boxes = np.full((len(objects), len(times), 4), np.nan, np.float32)
    x, y, w, h = (np.array(rows[column], float) for column in _BOX)
    box_times = np.array(rows[_TIME], np.int64)
    frames = np.searchsorted(times, box_times)
    known = np.isin(box_times, times)  # Boxes without an image are left.
    corners = np.stack(
      [
        (y - h / 2) / height,
        (x - w / 2) / width,
        (y + h / 2) / height,
        (x + w / 2) / width,
      ],
      axis=-1,
    )
    boxes[numbers[known], frames[known]] = corners[known]
    record = {
      'path': os.path.join(self._path, 'camera_image', file),
      'label': NO_LABEL,
      'jpegs': jpegs,
      'timestamps_s': ((times - times[0]) / 1e6).tolist(),
    }
    return BoxVideo(name, record, boxes)

  def _read(self, part: str, file: str, *columns: str) -> dict[str, list]:
    """Columns of a component, of this camera alone."""
    parquet, path = _parquet(), os.path.join(self._path, part, file)
    found = parquet.read_schema(path).names
    missing = [name for name in (_CAMERA, *columns) if name not in found]
    if missing:
      raise ValueError(
        f'waymo: looked for the columns {", ".join(missing)} in {path!r}; '
        f'found {", ".join(found)}.'
      )
    table = parquet.read_table(
      path,
      columns=list(columns),
      filters=[(_CAMERA, '==', CAMERAS[self._camera])],
    )
    return table.to_pydict()


def _parquet() -> Any:
  try:
    import pyarrow.parquet
  except ImportError as error:
    raise ImportError(
      "Waymo's files need the package pyarrow: pip install 'rvmae_jax[waymo]'."
    ) from error
  return pyarrow.parquet
