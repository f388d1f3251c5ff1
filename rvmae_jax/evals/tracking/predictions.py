"""Predicted labels as files: what DAVIS asks for, and tables of keypoints."""

import csv
import pathlib

import numpy as np
from PIL import Image


def save_label(folder: str, video: str, frame: int, label: np.ndarray) -> None:
  """Writes the label of one frame: a mask [H, W] or keypoints [K, 2].

  FOLDER/blackswan/00000.png    masks, a palette image for each frame
  FOLDER/catch/video.csv        keypoints: frame,keypoint,x,y
  """
  path = pathlib.Path(folder, video)
  if label.dtype == np.uint8:
    path.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(label)
    image.putpalette(palette().tobytes())
    image.save(path / f'{frame:05d}.png')
    return
  path.parent.mkdir(parents=True, exist_ok=True)
  with open(f'{path}.csv', 'a' if frame else 'w', newline='') as file:
    rows = csv.writer(file)
    if not frame:
      rows.writerow(['frame', 'keypoint', 'x', 'y'])
    for number, (x, y) in enumerate(label):
      if not np.isnan(x):
        rows.writerow([frame, number, f'{x:.2f}', f'{y:.2f}'])


def palette() -> np.ndarray:
  """The colours of PASCAL VOC and DAVIS, [256, 3] uint8: bits spread out."""
  numbers = np.arange(256)
  colours = np.zeros((256, 3), int)
  for step in range(8):
    for channel in range(3):
      bit = (numbers >> (3 * step + channel)) & 1
      colours[:, channel] |= bit << (7 - step)
  return colours.astype(np.uint8)
