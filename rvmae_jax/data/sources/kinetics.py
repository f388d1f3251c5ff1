"""Kinetics-400, -600 and -700 as published (arXiv 1705.06950)."""

import csv

from rvmae_jax.data.layout import check_choice, list_finder
from rvmae_jax.data.records import NO_LABEL
from rvmae_jax.data.sources.listing import is_plain, read_plain
from rvmae_jax.data.sources.published import Published, video_stem

# Names under which the lists of a split are found.
SPLITS = {
  'train': ('train.csv',),
  'val': ('val.csv', 'validate.csv', 'validation.csv'),
  'test': ('test.csv',),
}
_COLUMNS = ('youtube_id', 'time_start', 'time_end')


class Kinetics(Published):
  """One split of Kinetics.

    path/train.csv      label,youtube_id,time_start,time_end,split
    path/train/abseiling/0347ZoDXyP0_000095_000105.mp4

  The lists may lie in `annotations/`, the videos anywhere below `path`. A list
  of VideoMAE's and similar code, lines of `path label` without a header, does
  as well. Videos vanish from YouTube, so some may be missing.

  Args:
    path: the folder of both.
    split: 'train', 'val' or 'test'.
    lists: folder of the lists, if it is elsewhere.
    max_missing: greatest share of the list that may have no video.

  Raises:
    FileNotFoundError: list or videos are not there.
    ValueError: an unknown split, or a list that cannot be understood.
  """

  def __init__(
    self,
    path: str,
    split: str = 'train',
    lists: str = '',
    max_missing: float = 0.1,
  ):
    check_choice('kinetics', 'split', split, SPLITS)
    find_list = list_finder('kinetics', path, lists, ('.', 'annotations'))
    file = find_list(f'{split} list', *SPLITS[split])
    if is_plain(file):
      plain = read_plain(file)
      rows = [(video_stem(row['path']), int(row['label'])) for row in plain]
      class_names = [str(i) for i in range(max(n for _, n in rows) + 1)]
    else:
      # Not all test lists have labels, and small copies may lack a class.
      train_file = find_list('train list', *SPLITS['train'])
      class_names = sorted({label for _, label in _read(train_file)})
      number = {name: i for i, name in enumerate(class_names)}
      named = _read(file)
      unknown = sorted({label for _, label in named} - {*number, ''})
      if unknown:
        raise ValueError(
          f'kinetics: {file!r} has labels that are none of the '
          f'{len(class_names)} of its train list: {unknown[:5]}. The lists '
          'must be of one version of Kinetics.'
        )
      rows = [(stem, number.get(label, NO_LABEL)) for stem, label in named]
    super().__init__('kinetics', path, rows, class_names, max_missing)


def _read(file: str) -> list[tuple[str, str]]:
  """(name of the video, label or '') of each row of a published list."""
  with open(file, newline='', encoding='utf-8-sig') as opened:
    reader = csv.DictReader(opened)
    columns = reader.fieldnames or []
    if not {*_COLUMNS} <= {*columns}:
      raise ValueError(
        f'kinetics: {file!r} needs the columns {", ".join(_COLUMNS)}, and '
        f'label where it has labels; it has {", ".join(columns)}.'
      )
    return [
      (
        f'{row["youtube_id"]}_{int(float(row["time_start"])):06d}'
        f'_{int(float(row["time_end"])):06d}',
        row.get('label') or '',
      )
      for row in reader
    ]
