"""UCF101 as published: 101 actions, three splits (arXiv 1212.0402)."""

from rvmae_jax.data.layout import check_choice, list_finder
from rvmae_jax.data.sources.published import Published, video_stem
from rvmae_jax.data.text import read_lines

SPLITS = ('train', 'test')


class Ucf101(Published):
  """One side of one of the three splits of UCF101.

    path/ucfTrainTestlist/{classInd,trainlist01,testlist01,...}.txt
    path/UCF-101/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi

  The lists keep clips of one long video (`g01`) on one side.

  Args:
    path: the folder of both.
    split: 'train' or 'test'.
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
    check_choice('ucf101', 'split', split, SPLITS)
    check_choice('ucf101', 'fold', fold, (1, 2, 3))
    usual = ('ucfTrainTestlist', 'splits', '.')
    find_list = list_finder('ucf101', path, lists, usual)
    index_file = find_list('list', 'classInd.txt')
    # Lines such as '1 ApplyEyeMakeup'.
    class_names = [line.split()[-1] for line in read_lines(index_file)]
    label_of = {name: i for i, name in enumerate(class_names)}
    list_file = find_list('list', f'{split}list{fold:02d}.txt')
    rows = []
    for line in read_lines(list_file):
      # 'ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1'; no number in testlist.
      name = line.split()[0]
      class_name = name.split('/')[0]
      if class_name not in label_of:
        raise ValueError(
          f'ucf101: {line!r} in {list_file!r} begins with no class of '
          f'{index_file!r}, such as {class_names[0]!r}.'
        )
      rows.append((video_stem(name), label_of[class_name]))
    super().__init__('ucf101', path, rows, class_names, max_missing)
