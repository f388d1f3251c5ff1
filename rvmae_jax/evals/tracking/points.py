"""Points followed by the similarity of features alone, without a head.

Each frame is searched for the place most like that of the query. Propagation of
labels, as for masks and keypoints, would not do: there every place takes the
label of what it is most like, so that one like nothing before gets a label as
strong as the right one. A point counts as seen if the way back ends where it
began: nothing in the frame of the query is more like what was found than the
query's own surroundings.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from rvmae_jax.evals.pooling import unit_length


def track_points(
  features: np.ndarray,
  queries: np.ndarray,
  *,
  temperature: float = 0.05,
  radius: int = 2,
  return_cells: float = 1.5,
  min_similarity: float = -1.0,
) -> tuple[np.ndarray, np.ndarray]:
  """Follows points through a video.

  Args:
    features: [T, h, w, D] of each frame.
    queries: [Q, 3] frame, y and x; y and x as shares of the frame, 0..1.
    temperature: of the softmax that weighs the places around the best one.
    radius: of these places, in cells of the grid.
    return_cells: a point counts as seen if its way back ends at most this far
      from its query, in cells.
    min_similarity: least cosine of a seen point's features with the query's.
      Useful values differ between networks; the default accepts every point.

  Returns:
    Points [Q, T, 2] float32 x and y, as shares of the frame, and where they are
    seen, [Q, T] bool. In the frame of the query they are where it says.

  Raises:
    ValueError: a query is for a frame that is not there, or a setting is not
      positive.
  """
  if min(temperature, radius, return_cells) <= 0:
    raise ValueError(
      f'temperature={temperature}, radius={radius} and return_cells='
      f'{return_cells} must be positive.'
    )
  num_frames, height, width, _ = features.shape
  starts = np.rint(queries[:, 0]).astype(int)
  if starts.size and not 0 <= starts.min() <= starts.max() < num_frames:
    raise ValueError(
      f'Queries are for frames {starts.min()} to {starts.max()} of a video of '
      f'{num_frames} frames.'
    )
  cells = np.float32([width, height])
  places = queries[:, :0:-1].astype(np.float32) * cells  # x and y
  points, distance, similarity = map(
    np.asarray,
    _search(features, starts, places, np.float32(temperature), radius),
  )
  visible = (distance <= return_cells) & (similarity >= min_similarity)
  is_query = np.arange(num_frames) == starts[:, None]
  points = np.where(is_query[..., None], places[:, None], points)
  return points / cells, visible | is_query


@functools.partial(jax.jit, static_argnames='radius')
def _search(
  features: jax.Array,
  starts: jax.Array,
  places: jax.Array,
  temperature: jax.Array,
  radius: int,
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Where queries are found, how far off the way back ends, and how alike.

  Args:
    features: [T, h, w, D].
    starts: [Q], the frame of each query.
    places: [Q, 2] x and y there, in cells.
    temperature: see `track_points`.
    radius: see `track_points`.

  Returns:
    [Q, T, 2] x and y in cells, [Q, T] cells, and [Q, T] cosines.
  """
  features = unit_length(features)
  grid = features.shape[1:3]
  like = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)

  def one(query):
    start, place = query
    looked_for = unit_length(_sample(features[start], place))
    similarity = like('d,thwd->thw', looked_for, features)
    locate = functools.partial(_locate, temperature=temperature, radius=radius)
    points = jax.vmap(locate)(similarity)  # [T, 2]
    found = jax.vmap(_sample)(features, points)  # [T, D]
    back = like('td,hwd->thw', found, features[start])
    centres = _centres(grid).reshape(-1, 2)
    ends = centres[back.reshape(len(back), -1).argmax(-1)]  # [T, 2]
    distance = jnp.linalg.norm(ends - place, axis=-1)
    return points, distance, similarity.max((1, 2))

  return jax.lax.map(one, (starts, places))


def _centres(grid: tuple[int, int]) -> jax.Array:
  """Of the cells, [h, w, 2] x and y."""
  rows, columns = jnp.indices(grid)
  return jnp.stack([columns, rows], axis=-1) + 0.5


def _locate(
  similarity: jax.Array, temperature: jax.Array, radius: int
) -> jax.Array:
  """The best place of [h, w], [2] x and y: a mean over it and those around.

  What is far from the best place does not count, however much alike it is.
  """
  grid = similarity.shape
  row, column = jnp.unravel_index(similarity.argmax(), grid)
  rows, columns = jnp.indices(grid)
  is_near = jnp.maximum(abs(rows - row), abs(columns - column)) <= radius
  logits = jnp.where(is_near, similarity / temperature, -jnp.inf)
  weights = jax.nn.softmax(logits, axis=(0, 1))
  return (weights[..., None] * _centres(grid)).sum((0, 1))


def _sample(features: jax.Array, point: jax.Array) -> jax.Array:
  """Bilinear features [D] at x and y in cells, of features [h, w, D]."""
  height, width, _ = features.shape
  last = jnp.array([width - 1, height - 1])
  at = jnp.clip(point - 0.5, 0, last)
  low = jnp.floor(at).astype(int)
  high = jnp.minimum(low + 1, last)
  right, down = at - low
  four = features[
    jnp.array([low[1], high[1]])[:, None], jnp.array([low[0], high[0]])
  ]  # [2, 2, D]
  above, below = four[:, 0] + right * (four[:, 1] - four[:, 0])
  return above + down * (below - above)
