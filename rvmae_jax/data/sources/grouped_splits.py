"""Splits videos by groups: what belongs together stays in one split.

Clips of one recording, or of one person, are alike in more than their class. A
network that has seen some of them knows others by their background or face, so
a split that tears groups apart measures too much.
"""

from collections.abc import Hashable, Sequence

import numpy as np

from rvmae_jax.data.sources.splits import SHARES, SPLITS

# A label that a split lacks outweighs any difference of shares, also where
# there are millions of videos.
_ABSENT = 1e9
# Passes over all groups, each of which must improve something.
_MAX_PASSES = 50
# Groups looked at over all fresh starts: many for small sets, one for large.
_GROUPS_IN_ALL = 20_000
_MAX_STARTS = 10
_PARTNERS = 8


def merge_groups(*keys: Sequence[Hashable]) -> list[int]:
  """Groups of rows that share any key, over any number of steps.

  Args:
    *keys: for each row, such as its signer and its content's hash; None shares
      with nothing.

  Returns:
    The number of each row's group, from 0 in order of appearance.
  """
  leader = list(range(len(keys[0])))

  def find(row):
    while leader[row] != row:
      leader[row] = leader[leader[row]]
      row = leader[row]
    return row

  for column in keys:
    first = {}
    for row, key in enumerate(column):
      if key is not None:
        leader[find(row)] = find(first.setdefault(key, row))
  number = {}
  return [
    number.setdefault(find(row), len(number)) for row in range(len(leader))
  ]


def assign_groups(
  labels: Sequence[str],
  groups: Sequence[Hashable],
  shares: Sequence[float] = SHARES,
  seed: int = 0,
  allow_absent: bool = False,
) -> list[str]:
  """A split for each row, such that no group is in two.

  The shares of the splits are met for all videos and for each label as nearly
  as groups allow, in terms of chi squared: groups are placed one by one, large
  ones first, then moved and exchanged while that helps; the best of several
  beginnings is taken.

  Args:
    labels: of each row; '' is no label.
    groups: of each row.
    shares: of train, val and test; they need not add up to 1.
    seed: of the order in which groups are tried.
    allow_absent: let labels be absent from a split.

  Returns:
    'train', 'val' or 'test' for each row.

  Raises:
    ValueError: fewer groups than splits, or a label that cannot be in every
      split; it says which.
  """
  shares = np.array(shares, float)
  if shares.shape != (len(SPLITS),) or (shares < 0).any() or not shares.any():
    raise ValueError(
      f'shares={shares.tolist()} must be three numbers for {SPLITS}, none of '
      'them negative and not all of them zero.'
    )
  used = np.flatnonzero(shares)
  names = sorted({*labels} - {''})
  group_of = {group: i for i, group in enumerate(dict.fromkeys(groups))}
  counts = np.zeros((len(group_of), len(names) + 1))
  column = {name: i for i, name in enumerate(names)}
  for label, group in zip(labels, groups):
    counts[group_of[group], -1] += 1  # All videos, whatever their label.
    if label:
      counts[group_of[group], column[label]] += 1
  _check_possible(counts, names, len(used), allow_absent)

  wanted = np.outer(shares[used] / shares.sum(), counts.sum(0))
  num_starts = _GROUPS_IN_ALL // len(counts)
  search = _Search(counts, wanted, np.random.default_rng(seed), allow_absent)
  _, places = min(
    (search.run() for _ in range(np.clip(num_starts, 1, _MAX_STARTS))),
    key=lambda found: found[0],
  )
  absent = search.absent(places)
  if absent and not allow_absent:
    raise ValueError(
      'No split was found that keeps groups together and has every label in '
      'every part; missing: '
      + '; '.join(
        f'{([*names, "any video"])[label]!r} in {SPLITS[used[split]]}'
        for split, label in absent[:5]
      )
      + '. Change the shares or the seed, or allow absent labels.'
    )
  return [SPLITS[used[places[group_of[group]]]] for group in groups]


def _check_possible(counts, names, num_splits, allow_absent) -> None:
  if len(counts) < num_splits:
    raise ValueError(
      f'{len(counts)} groups cannot be in {num_splits} splits: a group is '
      'never divided. Name finer groups, or set the share of a split to 0.'
    )
  num_groups = (counts[:, :-1] > 0).sum(0)
  few = [
    f'{name!r} ({n} of {num_splits} groups)'
    for name, n in zip(names, num_groups)
    if n < num_splits
  ]
  if few and not allow_absent:
    raise ValueError(
      f'{len(few)} labels have fewer groups than there are splits, so that '
      f'some split must lack them: {", ".join(few[:5])}. Leave these labels '
      'out, merge groups less, or allow absent labels.'
    )


class _Search:
  """Places groups in splits; `run` begins afresh each time."""

  def __init__(self, counts, wanted, rng, allow_absent):
    self._counts, self._wanted, self._rng = counts, wanted, rng
    # A split without any video is wrong even where labels may be absent.
    self._needed = wanted > 0
    if allow_absent:
      self._needed[:, :-1] = False
    self._scale = np.maximum(wanted, 1e-9)

  def run(self) -> tuple[float, np.ndarray]:
    """The cost, and the split of each group."""
    counts = self._counts
    order = self._rng.permutation(len(counts))
    order = order[np.argsort(-counts[order, -1], kind='stable')]
    self._places = np.zeros(len(counts), int)
    self._filled = np.zeros_like(self._wanted)
    for group in order:
      change = self._cost(self._filled + counts[group]) - self._cost(
        self._filled
      )
      # `+` adds the group to every split at once; each row is one choice.
      self._put(group, int(change.argmin()))
    for _ in range(_MAX_PASSES):
      if not sum(
        self._improve(group) for group in self._rng.permutation(order)
      ):
        break
    return float(self._cost(self._filled).sum()), self._places

  def absent(self, places) -> list[tuple[int, int]]:
    """(split, label) of the labels that a split lacks."""
    filled = np.zeros_like(self._wanted)
    np.add.at(filled, places, self._counts)
    return np.argwhere(self._needed & (filled == 0)).tolist()

  def _cost(self, filled) -> np.ndarray:
    """Chi squared of each split, and what it lacks."""
    difference = (filled - self._wanted) ** 2 / self._scale
    return difference.sum(1) + _ABSENT * (self._needed & (filled == 0)).sum(1)

  def _put(self, group, split) -> None:
    self._places[group] = split
    self._filled[split] += self._counts[group]

  def _improve(self, group) -> bool:
    """Moves a group, or exchanges it for another, if that helps."""
    here = self._places[group]
    steps = [(there, None) for there in range(len(self._wanted))]
    # A few others at a time: all of them would take too long.
    others = self._rng.integers(len(self._counts), size=_PARTNERS)
    steps += [(self._places[other], other) for other in others]
    steps = [step for step in steps if step[0] != here]
    now = self._cost(self._filled).sum()
    costs = [self._cost(self._after(group, *step)).sum() for step in steps]
    if not costs or min(costs) > now - 1e-9:
      return False
    there, other = steps[int(np.argmin(costs))]
    self._filled = self._after(group, there, other)
    self._places[group] = there
    if other is not None:
      self._places[other] = here
    return True

  def _after(self, group, there, other) -> np.ndarray:
    """What is in the splits once a group went there, and another came back."""
    moved = self._counts[group]
    if other is not None:
      moved = moved - self._counts[other]
    filled = self._filled.copy()
    filled[self._places[group]] -= moved
    filled[there] += moved
    return filled
