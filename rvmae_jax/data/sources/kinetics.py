"""Kinetics-400, -600 and -700 as published (arXiv 1705.06950)."""

from rvmae_jax.data.classes import clean_label, number_labels
from rvmae_jax.data.layout import check_choice, list_finder
from rvmae_jax.data.records import NO_LABEL
from rvmae_jax.data.sources.plain_list import is_plain, read_plain
from rvmae_jax.data.sources.published import Published, video_stem
from rvmae_jax.data.text import Row, read_table

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
    lists, max_missing: see `Published`.

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
      labels, class_names = number_labels(
        [row['label'] for row in plain], [row.place for row in plain]
      )
      stems = (video_stem(row['path']) for row in plain)
      rows = list(zip(stems, labels))
    else:
      # Not all test lists have labels, and small copies may lack a class.
      train_file = find_list('train list', *SPLITS['train'])
      class_names = sorted({label for _, label in _read(train_file)} - {''})
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
  rows = read_table(file, (*_COLUMNS, 'label'))
  columns = list(rows[0]) if rows else []
  if not {*_COLUMNS} <= {*columns}:
    raise ValueError(
      f'kinetics: {file!r} needs the columns {", ".join(_COLUMNS)}, and '
      f'label where it has labels; it has {", ".join(columns) or "no rows"}.'
    )
  return [
    (
      f'{row["youtube_id"]}_{_whole_s(row, "time_start")}'
      f'_{_whole_s(row, "time_end")}',
      clean_label(row.get('label')),
    )
    for row in rows
  ]


def _whole_s(row: Row, column: str) -> str:
  """A time as it is in names of files: '000095'."""
  try:
    return f'{int(float(row[column])):06d}'
  except (OverflowError, ValueError):
    raise ValueError(
      f'kinetics: {column} in {row.place} is not a number: {row[column]!r}.'
    ) from None
