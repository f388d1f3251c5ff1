"""Diving48 as published: 48 kinds of dives (Li et al., ECCV 2018)."""

from typing import Any

from rvmae_jax.data.layout import check_choice, list_finder
from rvmae_jax.data.sources.published import Published
from rvmae_jax.data.text import read_json

SPLITS = ('train', 'test')


class Diving48(Published):
  """One split of Diving48.

    path/Diving48_V2_train.json, Diving48_V2_test.json, Diving48_vocab.json
    path/rgb/-3B32lodo2M_00059.mp4

  The newest lists are taken: V2 corrects many labels of V1, and accuracies on
  the two cannot be compared.

  Args:
    path: the folder of both.
    split: 'train' or 'test'.
    version: of the lists: 'V2', or '' for the first.
    lists, max_missing: see `Published`.

  Raises:
    FileNotFoundError: lists or videos are not there.
    ValueError: an unknown split, or a list that cannot be understood.
  """

  def __init__(
    self,
    path: str,
    split: str = 'train',
    lists: str = '',
    version: str = 'V2',
    max_missing: float = 0.0,
  ):
    check_choice('diving48', 'split', split, SPLITS)
    find_list = list_finder('diving48', path, lists, ('.', 'annotations'))
    stem = f'Diving48_{version}' if version else 'Diving48'
    # A class is what the dive is made of: take-off, somersaults, twists, shape.
    vocabulary = read_json(find_list('vocabulary', 'Diving48_vocab.json'))
    class_names = [' '.join(parts) for parts in vocabulary]
    file = find_list(f'{split} list', f'{stem}_{split}.json')
    rows = [_row(entry, len(class_names), file) for entry in read_json(file)]
    super().__init__('diving48', path, rows, class_names, max_missing)


def _row(entry: Any, num_classes: int, file: str) -> tuple[str, int]:
  fields = entry if isinstance(entry, dict) else {}
  name, label = fields.get('vid_name'), fields.get('label')
  if not name or label not in range(num_classes):
    raise ValueError(
      f'diving48: {entry!r} in {file!r} needs a `vid_name` and a `label` from '
      f'0 to {num_classes - 1}.'
    )
  return name, label
