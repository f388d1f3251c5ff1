"""Splits videos into train, val and test where no split is given."""

import collections
import hashlib
from collections.abc import Hashable, Sequence

SPLITS = ('train', 'val', 'test')
SHARES = (0.8, 0.1, 0.1)
_SPELLINGS = {
  'training': 'train',
  'valid': 'val',
  'validation': 'val',
  'testing': 'test',
}


def canonical_split(name: str) -> str:
  """One of `SPLITS`, however it is written ('Training'); or the name itself."""
  name = str(name).strip()
  small = name.casefold()
  small = _SPELLINGS.get(small, small)
  return small if small in SPLITS else name


def assign_splits(
  names: Sequence[str],
  groups: Sequence[Hashable],
  shares: Sequence[float] = SHARES,
) -> list[str]:
  """A split for each video: the same on every machine and in any order.

  Each group (class) is put in order of a hash of its names and then cut by the
  shares, so that every class is in every split. A split gets at least one video
  of a group as soon as the group has one for each split.

  Adding videos may move others from one split to the next: for a benchmark,
  freeze the splits in a listing.

  Args:
    names: one a video, distinct.
    groups: class of each video.
    shares: of train, val and test; they need not add up to 1.

  Returns:
    'train', 'val' or 'test' for each name.

  Raises:
    ValueError: `shares` are not three numbers, none negative, some positive.
  """
  if len(shares) != len(SPLITS) or min(shares) < 0 or not sum(shares):
    raise ValueError(
      f'shares={tuple(shares)} must be three numbers for {SPLITS}, none of '
      'them negative and not all of them zero, such as (0.8, 0.1, 0.1).'
    )
  members = collections.defaultdict(list)
  for name, group in zip(names, groups):
    members[group].append(name)
  split_of = {}
  for group in members.values():
    group.sort(key=_hash)
    splits = (
      s for s, n in zip(SPLITS, _counts(len(group), shares)) for _ in range(n)
    )
    split_of.update(zip(group, splits))
  return [split_of[name] for name in names]


def _hash(name: str) -> bytes:
  # Names of files need not be UTF-8; Python then has surrogates in them.
  return hashlib.sha256(name.encode(errors='surrogatepass')).digest()


def _counts(total: int, shares: Sequence[float]) -> list[int]:
  """How many of `total` each split gets."""
  used = sum(share > 0 for share in shares)
  counts = [
    max(int(total >= used and share > 0), round(total * share / sum(shares)))
    for share in shares
  ]
  # The largest share takes what rounding leaves over or takes too much.
  counts[shares.index(max(shares))] += total - sum(counts)
  return counts
