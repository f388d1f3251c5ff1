"""Something-Something v2 as published: 174 templates (arXiv 1706.04261)."""

import os
from typing import Any

from rvmae_jax.data.layout import check_choice, list_finder
from rvmae_jax.data.records import NO_LABEL
from rvmae_jax.data.sources.published import Published
from rvmae_jax.data.text import read_cells, read_json

# Names under which the files are found, newest first.
SPLITS = {
  'train': ('train.json', 'something-something-v2-train.json'),
  'val': ('validation.json', 'something-something-v2-validation.json'),
  'test': ('test.json', 'something-something-v2-test.json'),
}
_LABELS = ('labels.json', 'something-something-v2-labels.json')


class Ssv2(Published):
  """One split of Something-Something v2.

    path/labels/{labels,train,validation,test}.json, test-answers.csv
    path/20bn-something-something-v2/78687.webm

  The label of a video is its template with the brackets taken away: 'Holding
  [something] next to [something]' is 'Holding something next to something'.
  Videos of `test` have labels if test-answers.csv is there.

  Args:
    path: the folder of both.
    split: 'train', 'val' or 'test'.
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
    max_missing: float = 0.0,
  ):
    check_choice('ssv2', 'split', split, SPLITS)
    usual = ('labels', 'annotations', '.')
    find_list = list_finder('ssv2', path, lists, usual)
    labels_file = find_list('table of labels', *_LABELS)
    label_of = {name: int(i) for name, i in _read(labels_file, dict).items()}
    class_names = sorted(label_of, key=label_of.get)
    file = find_list(f'{split} list', *SPLITS[split])
    entries = _read(file, list)
    answers = _answers(os.path.join(os.path.dirname(file), 'test-answers.csv'))
    rows = []
    for entry in entries:
      fields = entry if isinstance(entry, dict) else {}
      text = fields.get('template') or answers.get(str(fields.get('id')), '')
      name = str(text).replace('[', '').replace(']', '')
      if 'id' not in fields or (name and name not in label_of):
        raise ValueError(
          f'ssv2: {entry!r} in {file!r} has no `id`, or its `template` without '
          f'brackets is not a label of {labels_file!r}.'
        )
      rows.append((str(fields['id']), label_of.get(name, NO_LABEL)))
    super().__init__('ssv2', path, rows, class_names, max_missing)


def _read(file: str, kind: type) -> Any:
  value = read_json(file)
  if not isinstance(value, kind) or not value:
    raise ValueError(
      f'ssv2: {file!r} must hold a {kind.__name__} that is not empty.'
    )
  return value


def _answers(file: str) -> dict[str, str]:
  """Label by id of the test videos; empty where nobody gave them."""
  if not os.path.exists(file):
    return {}
  answers = {}
  for number, cells in read_cells(file, delimiters=';'):
    if len(cells) != 2:
      raise ValueError(
        f'ssv2: line {number} of {file!r} is not `id;label`: {cells}.'
      )
    answers[cells[0]] = cells[1]
  return answers
