"""Labels: from what people write to numbers, and whether numbers agree."""

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from rvmae_jax.data.notices import warn_once
from rvmae_jax.data.records import NO_LABEL
from rvmae_jax.registry import some_names

# From here on, a whole number is an identifier or a date and not a class.
MAX_CLASSES = 5_000

_WHOLE = re.compile(r'(-?(?:0|[1-9][0-9]{0,17}))(?:\.0+)?')
_NONE = ('', 'nan', 'NaN')


def clean_label(value: Any) -> str:
  """A label as text: without needless spaces, in one spelling of accents.

  Args:
    value: a text or a number; None, NaN and an empty text are no label.

  Returns:
    '' for no label.

  Raises:
    ValueError: it is neither.
  """
  if value is None or (isinstance(value, float) and math.isnan(value)):
    return ''
  if not isinstance(value, str | int | float):
    raise ValueError(f'a label is a name or a number, not {value!r}')
  return unicodedata.normalize('NFC', ' '.join(str(value).split()))


def known_label(value: Any) -> str:
  """A label as `clean_label` has it; '' for -1 and 'nan' too.

  Raises:
    ValueError: see `clean_label`.
  """
  text = clean_label(value)
  match = _WHOLE.fullmatch(text)
  is_none = text in _NONE or (match and int(match[1]) == NO_LABEL)
  return '' if is_none else text


def number_labels(
  labels: Sequence[Any], places: Sequence[str] = ()
) -> tuple[list[int], list[str]]:
  """Labels as numbers, and the name of each number.

  Whole numbers below `MAX_CLASSES` are taken as they are (3, '3' and '3.0' are
  the same). All else are names, numbered in sorted order: texts, and numbers
  that are identifiers since one of them is larger or begins with a zero.

  Args:
    labels: see `known_label`.
    places: where each stands, for messages.

  Returns:
    A number for each label, `NO_LABEL` where there is none; and names.

  Raises:
    ValueError: what is no label, or a negative number; names the place.
  """
  texts = []
  for row, label in enumerate(labels):
    try:
      texts.append(known_label(label))
    except ValueError as error:
      raise ValueError(f'{_at(places, row)}{error}.') from error
  known = {*texts} - {''}
  whole = {t: int(m[1]) for t in known if (m := _WHOLE.fullmatch(t))}
  if len(whole) < len(known):  # Some are names, so all are.
    names = sorted(known)
    numbers = {name: number for number, name in enumerate(names)}
    _warn_of_spellings(names)
  else:
    if whole and min(whole.values()) < 0:
      text = min(whole, key=whole.get)
      raise ValueError(
        f'{_at(places, texts.index(text))}label {text} is negative. Labels '
        f'count from 0; {NO_LABEL} or an empty cell is no label.'
      )
    largest = max(whole.values(), default=-1)
    if largest < MAX_CLASSES:
      names = [str(number) for number in range(largest + 1)]
      numbers = whole
    else:
      place = {n: i for i, n in enumerate(sorted({*whole.values()}))}
      names = list(map(str, place))
      numbers = {text: place[n] for text, n in whole.items()}
      warn_once(
        f'Labels up to {largest} are too large to number classes '
        f'({MAX_CLASSES} at most) and are taken for names: {len(names)} '
        f'classes, {some_names(names, 3)}.'
      )
  numbers |= {'': NO_LABEL}
  return [numbers[text] for text in texts], names


def _at(places: Sequence[str], row: int) -> str:
  return f'{places[row]}: ' if places else ''


def _warn_of_spellings(names: Sequence[str]) -> None:
  """Warns of classes that may well be the same one."""
  alike = {}
  for name in names:
    key = unicodedata.normalize('NFKC', name).casefold().replace('_', ' ')
    if key.isdecimal():  # Of any script, with or without zeros before it.
      digits = ''.join(str(unicodedata.decimal(char)) for char in key)
      key = digits.lstrip('0') or '0'
    alike.setdefault(key, []).append(name)
  for group in alike.values():
    if len(group) > 1:
      warn_once(
        f'{" and ".join(map(repr, group))} are taken for different classes. If '
        'they are the same, spell them alike.'
      )


def check_same_classes(
  learned: Mapping[str, Sequence[str]],
  asked: Mapping[str, Sequence[str]] | None = None,
  num_classes: int = 0,
) -> None:
  """Checks that a label means the same class in all sources.

  Training, classifiers, probes and retrieval all use this check. It skips what
  it cannot know: sources without class names, and names that only repeat the
  number, as in lists whose labels are numbers.

  Args:
    learned: sources to learn from (or to search): name of the source, for
      messages -> names of its classes by label.
    asked: the same for the sources to be tested on.
    num_classes: outputs of the head that learns labels; 0 without a head.

  Raises:
    ValueError: a number stands for two classes, or the head has no output for
      a class; the message names the sources.
  """
  asked = asked or {}
  known = {}
  for side, names in [*learned.items(), *asked.items()]:
    if num_classes and len(names) > num_classes:
      raise ValueError(
        f'{side} has {len(names)} classes, but config.model.num_classes='
        f'{num_classes}: set it to {len(names)}, usually by '
        f'num_classes={len(names)} after the colon of --config, or leave out '
        f'videos of the other classes ({some_names(names[num_classes:], 3)}).'
      )
    for number, name in enumerate(map(clean_label, names)):
      if name == str(number):
        continue
      other, other_name = known.setdefault(number, (side, name))
      if name != other_name:
        raise ValueError(
          f'Label {number} is {other_name!r} in {other} and {name!r} in '
          f'{side}. Each list or folder numbers its own classes: put all '
          'videos into one, with a split each.'
        )
  _warn_of_what_is_not_known(learned, asked, known)


def _warn_of_what_is_not_known(learned, asked, known) -> None:
  for side, names in [*learned.items(), *asked.items()]:
    if names and known and all(n == str(i) for i, n in enumerate(names)):
      other, name = known[min(known)]
      warn_once(
        f'{side} has numbers for labels and {other} has names. They are '
        f'assumed to be numbered alike, so that {min(known)} is {name!r}.'
      )
  num_learned = max(map(len, learned.values()), default=0)
  for side, names in asked.items():
    if num_learned and names[num_learned:]:
      warn_once(
        f'{side} has classes that {" and ".join(learned)} lacks: '
        f'{some_names(names[num_learned:], 5)}. Their videos count as '
        'wrong.'
      )


def check_labelled(sources: Mapping[str, Any]) -> None:
  """Checks that there is something to learn for what learns labels.

  Args:
    sources: by their names, for messages.

  Raises:
    ValueError: no video of any has a label; says what there is instead.
  """
  bare = [name for name, source in sources.items() if not _has_label(source)]
  if len(bare) < len(sources):
    for name in bare:
      warn_once(f'No video of {name} has a label: they are not used.')
    return
  first = next(iter(sources.values()))
  columns = sorted(first[0].get('columns', {}))
  raise ValueError(
    f'Training needs labels, and no video of {" or ".join(bare)} has one. A '
    'list has them in a column `label`, `class` or `target`'
    + (f' (this one has {", ".join(columns)})' if columns else '')
    + '; a folder has a subfolder for each class.'
  )


def _has_label(source: Any) -> bool:
  # Sources are labelled throughout, or nearly so: this looks at one record.
  return any(source[i]['label'] != NO_LABEL for i in range(len(source)))
