"""Points followed by features whose motion is known."""

import numpy as np
import pytest

from rvmae_jax.evals.tracking.points import track_points

GRID = (8, 10)
CELLS = np.array(GRID[::-1])
FRAMES = 7
WAY = np.array([1, 0])  # Cells a frame, x and y.
HIDDEN = (3, 4)  # Frames in which something lies before the right half.


@pytest.fixture(scope='module')
def features():
  """A world of random features that moves to the right, and a curtain."""
  rng = np.random.default_rng(0)
  world = rng.normal(size=(20, 20, 32))
  frames = []
  for frame in range(FRAMES):
    x, y = 8 - frame * WAY
    frames.append(world[y : y + GRID[0], x : x + GRID[1]].copy())
  for frame in HIDDEN:
    frames[frame][:, 5:] = rng.normal(size=(GRID[0], 5, 32))
  return np.stack(frames).astype(np.float32)


def truth(queries):
  """Where points are, [Q, T, 2] in shares of the frame, and seen, [Q, T]."""
  ahead = np.arange(FRAMES) - queries[:, :1]
  cells = (queries[:, :0:-1] * CELLS)[:, None] + ahead[..., None] * WAY
  inside = ((cells >= 0) & (cells < CELLS)).all(-1)
  covered = np.isin(np.arange(FRAMES), HIDDEN) & (cells[..., 0] >= 5)
  return cells / CELLS, inside & ~covered


def at(frame, row, column):
  return [frame, (row + 0.5) / GRID[0], (column + 0.5) / GRID[1]]


QUERIES = np.array(
  [
    at(0, 2, 0),
    at(0, 6, 3),  # Behind the curtain in frames 3 and 4.
    at(0, 4, 7),  # Leaves the frame at frame 3.
    at(5, 3, 6),  # Asked about in the middle: back, and on.
    at(6, 1, 9),
  ]
)


def test_points_are_followed_ahead_and_back(features):
  points, visible = track_points(features, QUERIES)
  true, seen = truth(QUERIES)
  assert points.shape == (5, FRAMES, 2) and visible.dtype == bool
  assert (np.abs(points - true)[seen] * CELLS).max() < 0.01
  assert visible[seen].all()
  # A place like nothing before may lead back to what it is most like.
  assert (visible == seen).mean() > 0.85


def test_all_places_at_once(features):
  queries = np.array([at(0, r, c) for r, c in np.ndindex(GRID)])
  points, visible = track_points(features, queries)
  true, seen = truth(queries)
  assert (np.abs(points - true)[seen] * CELLS).max() < 0.01
  assert visible[seen].all() and 0.8 < (visible == seen).mean() < 1
  _, visible = track_points(features, queries, min_similarity=0.99)
  np.testing.assert_array_equal(visible, seen)


def test_a_point_between_cells_is_followed_there(features):
  """Half and half of two cells is as like the one as the other."""
  query = np.array([[0, 4 / GRID[0], 2.5 / GRID[1]]])
  points, visible = track_points(features, query)
  true, seen = truth(query)
  np.testing.assert_allclose(points[0, 0], true[0, 0])
  assert (np.abs(points - true)[seen] * CELLS).max() < 0.3
  np.testing.assert_array_equal(visible, seen)


def test_places_that_are_alike_do_not_draw_a_point_away(features):
  """A twin of a cell, far off and less alike than the cell itself."""
  twins = features.copy()
  twins[:, 7, 9] = twins[:, 1, 1] + 0.1 * twins[:, 7, 9]
  points, _ = track_points(twins[:1].repeat(2, 0), np.array([at(0, 1, 1)]))
  np.testing.assert_allclose(points[0, 1] * CELLS, [1.5, 1.5], atol=0.01)


def test_settings_that_cannot_be_are_named(features):
  with pytest.raises(ValueError, match='frames 0 to 7 of a video of 7'):
    track_points(features, np.array([at(0, 1, 1), at(7, 1, 1)]))
  with pytest.raises(ValueError, match='temperature=0'):
    track_points(features, QUERIES, temperature=0)
