"""Label propagation and its metrics, pixel by pixel, as their papers put it.

Plain loops, written by themselves: what `rvmae_jax` computes in another way has
to come out the same. Where an outside implementation's values are at hand,
these are held against them as well.
"""

import math

import numpy as np


def propagate(features, labels, num_previous, top_k, radius, temperature):
  """Soft labels [T, h, w, C] of features [T, h, w, D], given frame 0's."""
  num_frames, rows, columns, _ = features.shape
  found = [labels.astype(float)]
  places = [(i, j) for i in range(rows) for j in range(columns)]

  def unit(vector):
    return vector / math.sqrt(sum(float(x) ** 2 for x in vector))

  for t in range(1, num_frames):
    # The first frame, and those before this one; frame 0 fills the rest.
    context = [0] + [max(t - 1 - n, 0) for n in range(num_previous)]
    frame = np.zeros_like(found[0])
    for i, j in places:
      query, candidates = unit(features[t, i, j]), []
      for number, s in enumerate(context):
        for k, m in places:
          if number and math.hypot(i - k, j - m) >= radius:
            continue
          likeness = float(query @ unit(features[s, k, m])) / temperature
          candidates.append((likeness, s, k, m))
      best = sorted(candidates, reverse=True)[:top_k]
      weights = [math.exp(likeness - best[0][0]) for likeness, *_ in best]
      for weight, (_, s, k, m) in zip(weights, best):
        frame[i, j] += weight / sum(weights) * found[s][k, m]
    found.append(frame)
  return np.stack(found)


def jaccard(predicted, true):
  """Pixels of both masks among those of either."""
  both = sum(p and t for p, t in zip(predicted.flat, true.flat))
  either = sum(p or t for p, t in zip(predicted.flat, true.flat))
  return both / either if either else 1.0


def boundary_f(predicted, true, tolerance=0.008):
  """F of two boundaries, by the distance of each point to the other one."""
  radius = math.ceil(tolerance * math.hypot(*true.shape))
  ours, theirs = _boundary(predicted), _boundary(true)
  if not ours or not theirs:
    return float(bool(ours) == bool(theirs))

  def share_near(points, others):
    near = [
      any((i - k) ** 2 + (j - m) ** 2 <= radius**2 for k, m in others)
      for i, j in points
    ]
    return sum(near) / len(near)

  precision, recall = share_near(ours, theirs), share_near(theirs, ours)
  total = precision + recall
  return 2 * precision * recall / total if total else 0.0


def _boundary(mask):
  """Pixels that differ from the one right, below, or right below."""
  rows, columns = mask.shape
  found = []
  for i in range(rows):
    for j in range(columns):
      below, right = min(i + 1, rows - 1), min(j + 1, columns - 1)
      around = mask[below, j], mask[i, right], mask[below, right]
      if any(bool(other) != bool(mask[i, j]) for other in around):
        found.append((i, j))
  return found


def pck(predicted, true, visible, thresholds):
  """Percent of keypoints met, the mean over kinds; [videos, T, K, 2] each."""
  num_videos, num_frames, num_kinds, _ = true.shape
  shares = []
  for threshold in thresholds:
    of_kind = []
    for kind in range(num_kinds):
      met = []
      for video in range(num_videos):
        for t in range(1, num_frames):  # The first frame is given.
          if not visible[video, t, kind]:
            continue
          seen = true[video, t][visible[video, t] > 0]
          width, height = seen.max(0) - seen.min(0)
          unit = 0.6 * math.hypot(width, height)
          off = predicted[video, t, kind] - true[video, t, kind]
          met.append(math.hypot(*off) <= threshold * unit)
      if met:
        of_kind.append(sum(met) / len(met))
    shares.append(100 * sum(of_kind) / len(of_kind))
  return shares


def mean_iou(predicted, true, num_classes):
  """Mean over the classes that occur, of all frames together."""
  shares = []
  for number in range(num_classes):
    both = int(((predicted == number) & (true == number)).sum())
    either = int(((predicted == number) | (true == number)).sum())
    if either:
      shares.append(both / either)
  return sum(shares) / len(shares)


def running_cell(grid, start):
  """VideoMAE V2's map [t, h, w], True = decoded: a 2x2 cell that turns."""
  slots, rows, columns = grid
  found = np.zeros(grid, bool)
  for t in range(slots):
    hidden = [1, 1, 0, 0]
    turn = (start + t + 1) % 4
    hidden = hidden[turn:] + hidden[:turn]
    for i in range(rows):
      for j in range(columns):
        found[t, i, j] = not hidden[2 * (i % 2) + j % 2]
  return found
