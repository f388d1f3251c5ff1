"""HMDB51 as published: 51 actions, three splits (Kuehne et al., 2011)."""

import os

from rvmae_jax.data.layout import check_choice, files_ending, find_part
from rvmae_jax.data.sources.published import Published, video_stem
from rvmae_jax.data.text import read_lines

# What the lists say of a video: 1 train, 2 test, 0 neither.
SPLITS = {'train': '1', 'test': '2'}


class Hmdb51(Published):
  """One side of one of the three splits of HMDB51.

    path/testTrainMulti_7030_splits/brush_hair_test_split1.txt, one a class
    path/brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_0.avi

  Args:
    path: the folder of both.
    split: 'train' (70 videos a class) or 'test' (30).
    fold: which of the three published splits, from 1.
    lists, max_missing: see `Published`.

  Raises:
    FileNotFoundError: lists or videos are not there.
    ValueError: an unknown split or fold, or a list that cannot be understood.
  """

  def __init__(
    self,
    path: str,
    split: str = 'train',
    fold: int = 1,
    lists: str = '',
    max_missing: float = 0.0,
  ):
    check_choice('hmdb51', 'split', split, SPLITS)
    check_choice('hmdb51', 'fold', fold, (1, 2, 3))
    folders = [lists] if lists else ['testTrainMulti_7030_splits', 'splits']
    folder = find_part('hmdb51', path, 'folder of lists', folders)
    ending = f'_test_split{fold}.txt'
    files = files_ending('hmdb51', folder, ending)
    rows = []
    for label, file in enumerate(files):
      for line in read_lines(os.path.join(folder, file)):
        # 'April_09_brush_hair_u_nm_np1_ba_goo_0.avi 1'
        name, _, side = line.rpartition(' ')
        if side not in ('0', '1', '2'):
          raise ValueError(
            f'hmdb51: {line!r} in {file!r} does not end in 0, 1 or 2.'
          )
        if side == SPLITS[split]:
          rows.append((video_stem(name.strip()), label))
    class_names = [file.removesuffix(ending) for file in files]
    super().__init__('hmdb51', path, rows, class_names, max_missing)
