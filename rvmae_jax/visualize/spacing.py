"""Spaces out labels that would otherwise overlap."""

from collections.abc import Sequence


def spread(values: Sequence[float], apart: float) -> list[float]:
  """Rising values moved as little as it takes to lie `apart`.

  Least squares: whoever would come too near moves with its neighbours, as one
  group around their mean.
  """
  groups: list[tuple[float, int]] = []  # Mean start, and number, of a group.
  for number, value in enumerate(values):
    mean, count = value - number * apart, 1
    while groups and groups[-1][0] > mean:
      other_mean, other_count = groups.pop()
      mean = mean * count + other_mean * other_count
      count += other_count
      mean /= count
    groups.append((mean, count))
  starts = [mean for mean, count in groups for _ in range(count)]
  return [start + number * apart for number, start in enumerate(starts)]
