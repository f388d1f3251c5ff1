"""Readouts: small heads that turn a network's features into answers.

Each is one layer of attention from queries to the features of a whole clip,
and an MLP. Depth maps and classes have learned queries; points and boxes to
follow are queries of their own. Source: the heads of RVM (arXiv 2512.13684) and
of 4DS (arXiv 2412.15212).
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from rvmae_jax.layers.attention import dot_product_attention, split_heads
from rvmae_jax.layers.patches import unpatchify_clip
from rvmae_jax.layers.transformer import Mlp, layer_norm
from rvmae_jax.registry import Registry

READOUTS = Registry(
  'readout',
  {
    'boxes': 'rvmae_jax.layers.readout:BoxReadout',
    'classify': 'rvmae_jax.layers.readout:ClassReadout',
    'depth': 'rvmae_jax.layers.readout:DepthReadout',
    'points': 'rvmae_jax.layers.readout:PointReadout',
  },
)

NUM_FREQUENCIES = 16
# What a point has in each frame: x, y, visible, certain.
_POINT_OUTPUTS = 4


class AttentionReadout(nn.Module):
  """Queries attend to all tokens of a clip; an MLP and a dense layer follow.

  Tokens are normalised and told their time. The clip's length is fixed with
  the parameters, since there is one learned position for each frame.

  Attributes:
    num_outputs: values for each query.
    width: of queries, keys and values.
    num_heads: of the attention; divides `width`.
    num_queries: learned ones; 0 if queries are given.
    dtype: of the computation; parameters are float32.
    attention: implementation, see `layers.attention`.
  """

  num_outputs: int
  width: int
  num_heads: int
  num_queries: int = 0
  dtype: jnp.dtype = jnp.float32
  attention: str = 'auto'

  @nn.compact
  def __call__(
    self, features: jax.Array, queries: jax.Array | None = None
  ) -> jax.Array:
    """Asks all queries about a clip.

    Args:
      features: [B, T, N, C].
      queries: [B, Q, D]; None where they are learned.

    Returns:
      [B, Q, num_outputs].

    Raises:
      ValueError: queries are given though learned ones were asked for, or the
        reverse; or the heads do not divide the width.
    """
    if (queries is None) != bool(self.num_queries):
      raise ValueError(
        f'This readout has {self.num_queries} learned queries and was given '
        f'{"none" if queries is None else "some"}; set num_queries=0 to give '
        'them, any other number to learn them.'
      )
    batch_size, num_frames, _, depth = features.shape
    heads = split_heads(self.width, self.num_heads)
    small = nn.initializers.normal(0.02)

    tokens = layer_norm(self.dtype, 'features_norm')(features)
    position = self.param('temporal_position', small, (num_frames, 1, depth))
    tokens += position.astype(self.dtype)
    # [B, T, N, C] -> [B, T*N, C]
    tokens = tokens.reshape(batch_size, -1, depth)
    keys_values = nn.DenseGeneral(
      (2, *heads), dtype=self.dtype, name='keys_values'
    )(tokens)
    key, value = keys_values[..., 0, :, :], keys_values[..., 1, :, :]

    if queries is None:
      query = self.param('query', small, (self.num_queries, *heads))
      query = jnp.broadcast_to(
        query.astype(self.dtype), (batch_size, *query.shape)
      )
    else:
      query = nn.Dense(self.width, dtype=self.dtype, name='query_projection')(
        queries
      )
      # [B, Q, width] -> [B, Q, heads, d]
      query = query.reshape(*query.shape[:2], *heads)
    attended = dot_product_attention(
      query, key, value, implementation=self.attention
    )
    # [B, Q, heads, d] -> [B, Q, width]
    attended = attended.reshape(*attended.shape[:2], self.width)
    vectors = query.reshape(attended.shape)
    vectors += nn.Dense(self.width, dtype=self.dtype, name='attention_out')(
      attended
    )
    normed = layer_norm(self.dtype, 'mlp_norm')(vectors)
    vectors += Mlp(4 * self.width, self.dtype, name='mlp')(normed)
    return nn.Dense(self.num_outputs, dtype=self.dtype, name='output')(vectors)


class _Readout(nn.Module):
  """What all readouts have: settings of their attention.

  Attributes:
    width, num_heads, dtype, attention: see `AttentionReadout`.
  """

  width: int = 1024
  num_heads: int = 16
  dtype: jnp.dtype = jnp.float32
  attention: str = 'auto'

  def attend(
    self,
    features: jax.Array,
    queries: jax.Array | None = None,
    **sizes: int,
  ) -> jax.Array:
    """An `AttentionReadout` of these `sizes`, float32: [B, Q, num_outputs]."""
    readout = AttentionReadout(
      width=self.width,
      num_heads=self.num_heads,
      dtype=self.dtype,
      attention=self.attention,
      name='readout',
      **sizes,
    )
    return readout(features, queries).astype(jnp.float32)


class ClassReadout(_Readout, kw_only=True):
  """One learned query; logits of a clip.

  Attributes:
    num_classes: logits.
  """

  num_classes: int
  width: int = 768
  num_heads: int = 12

  @nn.compact
  def __call__(self, features: jax.Array) -> jax.Array:
    """[B, T, N, C] -> [B, num_classes] float32."""
    sizes = {'num_outputs': self.num_classes, 'num_queries': 1}
    return self.attend(features, **sizes)[:, 0]


class DepthReadout(_Readout):
  """A learned query for each tubelet of the depth map; no activation.

  Attributes:
    frames_shape: (frames, height, width) of the map.
    patch_shape: (frames, height, width) that one query answers for.
  """

  frames_shape: tuple[int, int, int] = (16, 224, 224)
  patch_shape: tuple[int, int, int] = (2, 8, 8)

  @nn.compact
  def __call__(self, features: jax.Array) -> jax.Array:
    """[B, T, N, C] -> depth [B, frames, height, width] float32.

    Raises:
      ValueError: patches do not tile the map, or are not square.
    """
    tubelet_size, patch_size, patch_width = self.patch_shape
    if patch_size != patch_width or any(
      whole % part for whole, part in zip(self.frames_shape, self.patch_shape)
    ):
      raise ValueError(
        f'patch_shape={tuple(self.patch_shape)} must be square and tile a map '
        f'of frames_shape={tuple(self.frames_shape)}.'
      )
    t, h, w = (
      whole // part for whole, part in zip(self.frames_shape, self.patch_shape)
    )
    patches = self.attend(
      features,
      num_outputs=tubelet_size * patch_size**2,
      num_queries=t * h * w,
    )
    depth = unpatchify_clip(patches, patch_size, tubelet_size, (t, h, w))
    return depth[..., 0]


class Tracks(NamedTuple):
  """Points followed through a clip.

  Attributes:
    points: [B, Q, T, 2] x and y in 0..1 of the frame.
    visible: [B, Q, T] logits; high where the point can be seen.
    certain: [B, Q, T] logits; high where the place is thought to be right.
  """

  points: jax.Array
  visible: jax.Array
  certain: jax.Array

  def is_visible(self, threshold: float = 0.5) -> jax.Array:
    """Where points are reported as seen: [B, Q, T] bool."""
    probability = nn.sigmoid(self.visible) * nn.sigmoid(self.certain)
    return probability > threshold


class PointReadout(_Readout):
  """Follows points that are given by their time and place.

  A query is asked several times, each copy for `frames_per_query` frames.

  Attributes:
    num_frames: of the answer.
    frames_per_query: divides `num_frames`.
    query_width: of the queries' embedding.
    num_frequencies: of its Fourier features; released heads have 16.
  """

  num_frames: int = 16
  frames_per_query: int = 2
  query_width: int = 512
  num_frequencies: int = NUM_FREQUENCIES
  num_heads: int = 8

  @nn.compact
  def __call__(self, features: jax.Array, queries: jax.Array) -> Tracks:
    """Follows points.

    Args:
      features: [B, T, N, C].
      queries: [B, Q, 3] in -1..1, see `point_queries`.

    Raises:
      ValueError: `frames_per_query` does not divide `num_frames`.
    """
    if self.num_frames % self.frames_per_query:
      raise ValueError(
        f'frames_per_query={self.frames_per_query} does not divide '
        f'num_frames={self.num_frames}; choose one that does.'
      )
    batch_size, num_queries, _ = queries.shape
    copies = self.num_frames // self.frames_per_query
    embedded = QueryEmbedding(
      self.query_width, self.num_frequencies, self.dtype, name='query'
    )(queries)
    place = self.param(
      'copy_position', nn.initializers.normal(0.02), (copies, self.query_width)
    )
    embedded = embedded[:, :, None] + place.astype(self.dtype)
    # [B, Q, copies, D] -> [B, Q*copies, D]
    embedded = embedded.reshape(batch_size, -1, self.query_width)
    outputs = self.attend(
      features, embedded, num_outputs=_POINT_OUTPUTS * self.frames_per_query
    )
    # [B, Q*copies, frames*4] -> [B, Q, T, 4]
    outputs = outputs.reshape(
      batch_size, num_queries, self.num_frames, _POINT_OUTPUTS
    )
    return Tracks(
      nn.sigmoid(outputs[..., :2]), outputs[..., 2], outputs[..., 3]
    )


class BoxReadout(_Readout):
  """Follows boxes that are given by their place in the first frame.

  Attributes:
    num_frames: of the answer.
    query_width: of the queries' embedding.
    num_frequencies: of its Fourier features; released heads have 16.
  """

  num_frames: int = 16
  query_width: int = 512
  num_frequencies: int = NUM_FREQUENCIES
  num_heads: int = 4

  @nn.compact
  def __call__(self, features: jax.Array, queries: jax.Array) -> jax.Array:
    """Follows boxes; no activation.

    Args:
      features: [B, T, N, C].
      queries: [B, Q, 4] y1, x1, y2, x2 in 0..1 of the first frame.

    Returns:
      [B, Q, num_frames, 4] float32, in the same order and units.
    """
    embedded = QueryEmbedding(
      self.query_width, self.num_frequencies, self.dtype, name='query'
    )(queries)
    boxes = self.attend(features, embedded, num_outputs=4 * self.num_frames)
    # [B, Q, T*4] -> [B, Q, T, 4]
    return boxes.reshape(*boxes.shape[:2], self.num_frames, 4)


class QueryEmbedding(nn.Module):
  """Fourier features of coordinates, and an MLP; [..., K] -> [..., width]."""

  width: int
  num_frequencies: int = NUM_FREQUENCIES
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, coordinates: jax.Array) -> jax.Array:
    hidden = fourier_features(coordinates, self.num_frequencies)
    hidden = hidden.astype(self.dtype)
    hidden = nn.Dense(self.width, dtype=self.dtype, name='dense_in')(hidden)
    return nn.Dense(self.width, dtype=self.dtype, name='dense_out')(
      nn.gelu(hidden)
    )


def fourier_features(
  coordinates: jax.Array, num_frequencies: int = NUM_FREQUENCIES
) -> jax.Array:
  """Sines, then cosines, of pi, 2 pi, 4 pi, ... times each coordinate.

  Args:
    coordinates: [..., K], about -1..1.
    num_frequencies: F.

  Returns:
    [..., 2*F*K] float32; all coordinates of one frequency stand together.
  """
  coordinates = jnp.asarray(coordinates, jnp.float32)
  frequencies = jnp.pi * 2.0 ** jnp.arange(num_frequencies)
  # [..., F, K] -> [..., F*K]
  angles = coordinates[..., None, :] * frequencies[:, None]
  angles = angles.reshape(*coordinates.shape[:-1], -1)
  return jnp.sin(jnp.concatenate([angles, angles + jnp.pi / 2], axis=-1))


def point_queries(
  queries: jax.Array, num_frames: int, size: tuple[int, int]
) -> jax.Array:
  """Queries as `PointReadout` takes them.

  Args:
    queries: [..., 3] frame, y and x; frames from 0, y and x in pixels.
    num_frames: of the clip.
    size: (height, width) of a frame in pixels.

  Returns:
    [..., 3] in -1..1; the clip's first and last frame are -1 and 1.
  """
  last = jnp.array([max(num_frames - 1, 1), *size], jnp.float32)
  return 2 * jnp.asarray(queries, jnp.float32) / last - 1
