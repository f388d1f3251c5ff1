"""What networks built on another one share."""

import jax


class OnBackbone:
  """Forwards attributes and methods that users of features need.

  A mixin for modules with a field `backbone`, any network of `MODELS`.
  """

  @property
  def patch_size(self) -> int:
    """The backbone's patch size, in pixels."""
    return self.backbone.patch_size

  @property
  def width(self) -> int:
    """Width of the backbone's features."""
    return self.backbone.width

  @property
  def num_prefix_tokens(self) -> int:
    """Tokens before the grid."""
    return self.backbone.num_prefix_tokens

  def encode_frames(
    self, video: jax.Array, *, train: bool = False
  ) -> jax.Array:
    """The backbone's features of each frame alone, [B, T, P+h*w, D]."""
    return self.backbone.encode_frames(video, train=train)

  @property
  def is_recurrent(self) -> bool:
    """Whether the backbone has the methods below."""
    return getattr(self.backbone, 'is_recurrent', False)

  def init_state(self, batch_size: int, height: int, width: int) -> jax.Array:
    """The backbone's state before the first frame."""
    return self.backbone.init_state(batch_size, height, width)

  def encode_from(
    self, state: jax.Array, video: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    """The backbone's features of the next frames, and the state after them."""
    return self.backbone.encode_from(state, video)

  def step(
    self, state: jax.Array, frame: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    """The backbone's new state, and its features of one more frame."""
    return self.backbone.step(state, frame)
