"""What networks that stand on another one say of it."""


class OnBackbone:
  """Hands through what users of features ask of a network.

  Mixed into modules with a field `backbone`, any network of `MODELS`.
  """

  @property
  def patch_size(self) -> int:
    """Of the backbone, as are the next two."""
    return self.backbone.patch_size

  @property
  def width(self) -> int:
    """Of the features."""
    return self.backbone.width

  @property
  def num_prefix_tokens(self) -> int:
    """Tokens before the grid."""
    return self.backbone.num_prefix_tokens
