"""Counting the matrix products of transformer parts, by hand.

A multiply-add is two FLOPs. Norms, softmax and other elementwise work is left
out, as is usual for model FLOP/s and MFU; XLA's cost analysis counts it, and
counts the body of a loop once.
"""


def dense(num_tokens: int, inputs: int, outputs: int) -> int:
  """A dense layer on `num_tokens` tokens."""
  return 2 * num_tokens * inputs * outputs


def attention(num_queries: int, num_keys: int, width: int) -> int:
  """Logits and weighted sum of all heads together."""
  return 4 * num_queries * num_keys * width


def self_attention(num_tokens: int, width: int, inner: int = 0) -> int:
  """Self-attention and its projections on one group of tokens.

  Args:
    num_tokens: that see each other.
    width: of tokens.
    inner: of all heads together; 0 is that of tokens.
  """
  inner = inner or width
  return 4 * dense(num_tokens, width, inner) + attention(
    num_tokens, num_tokens, inner
  )


def self_attention_block(
  num_tokens: int, width: int, mlp_dim: int, inner: int = 0
) -> int:
  """A ViT block on one group of tokens."""
  return self_attention(num_tokens, width, inner) + 2 * dense(
    num_tokens, width, mlp_dim
  )


def cross_attention_block(
  num_tokens: int, num_context: int, width: int, mlp_dim: int, inner: int = 0
) -> int:
  """A cross-attention block on one group, without its keys and values."""
  return (
    2 * dense(num_tokens, width, inner or width)
    + attention(num_tokens, num_context, inner or width)
    + self_attention_block(num_tokens, width, mlp_dim, inner)
  )


def cross_keys_values(
  num_context: int, num_blocks: int, inputs: int, inner: int
) -> int:
  """Keys and values of every block of a stack, made once."""
  return dense(num_context, inputs, 2 * num_blocks * inner)


def features(forward: dict[str, int]) -> dict[str, int]:
  """The parts of a forward count that computing features needs."""
  parts = ('patch_embedding', 'encoder', 'source_encoder', 'core')
  return {part: forward[part] for part in parts if part in forward}


def training(forward: dict[str, int]) -> int:
  """Forward and backward of one clip, from the forward count by part.

  The backward pass costs two products for each one of the forward pass; the
  patch embedding needs only one, as nobody asks for the gradient of pixels.
  """
  pixels = sum(
    count for part, count in forward.items() if part.endswith('patch_embedding')
  )
  return 3 * (sum(forward.values()) - pixels) + 2 * pixels
