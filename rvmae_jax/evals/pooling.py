"""From the features of a clip to one vector: poolings over spans of time.

A pooling is named by what it takes and by how many of the clip's last frames:
`mean` of all, `mean_2` of the last two, `mean_std_8`, `change_2`. Spans are
counted in frames, so that they are the same time for every network, whatever
the number of frames in its tokens. Prefix tokens such as CLS are left out.
"""

import dataclasses
import re

import jax
import jax.numpy as jnp

_KINDS = {
  'mean': 'mean over places and time',
  'mean_std': 'mean over places, and of that mean and deviation over time',
  'change': 'mean absolute change of each place, over all of the clip',
}
_NAME = re.compile(r'(mean_std|mean|change)(?:_([1-9]\d*))?')


@dataclasses.dataclass(frozen=True)
class Pooling:
  """How features of a clip become one vector.

  Attributes:
    kind: one of `mean`, `mean_std` and `change`.
    num_frames: of `mean` and `mean_std`, the last frames of the clip, 0 for
      all; of `change`, the frames between two states that are compared. A
      random network is strong on change: it is no verdict alone.
  """

  kind: str
  num_frames: int

  @classmethod
  def named(cls, name: str) -> 'Pooling':
    """The pooling of a name such as `mean_std_8`.

    Raises:
      ValueError: it names none.
    """
    match = _NAME.fullmatch(name)
    if not match or name == 'change':
      raise ValueError(
        f'Unknown pooling {name!r}. Known: mean, mean_std and change, followed '
        'by a number of frames: mean_2 is the mean of the last two, change_2 '
        'compares states two frames apart. Without a number, mean and mean_std '
        'take the whole clip.'
      )
    return cls(match[1], int(match[2] or 0))

  def check(self, num_frames: int, tubelet_size: int) -> None:
    """Checks that clips of a network have such a span.

    Args:
      num_frames: of a clip.
      tubelet_size: frames in a token.

    Raises:
      ValueError: the span is no whole number of tokens, or longer than a clip.
    """
    most = num_frames - tubelet_size * (self.kind == 'change')
    if self.num_frames % tubelet_size or self.num_frames > most:
      raise ValueError(
        f'A pooling over {self.num_frames} frames does not fit clips of '
        f'{num_frames} frames in tokens of {tubelet_size}: use a multiple of '
        f'{tubelet_size} up to {most}.'
      )

  def __call__(self, features: jax.Array, tubelet_size: int = 1) -> jax.Array:
    """Pools features [B, t, N, D] to [B, D], `mean_std` to [B, 2D].

    Args:
      features: of a clip's grid, one entry for each `tubelet_size` frames.
      tubelet_size: frames in a token.
    """
    span = self.num_frames // tubelet_size
    if self.kind == 'change':
      change = jnp.abs(features[:, span:] - features[:, :-span])
      # From state to state, however far apart they are.
      return change.mean((1, 2))
    frames = features[:, -span:].mean(2)  # [B, span, D]; -0 takes all.
    if self.kind == 'mean':
      return frames.mean(1)
    return jnp.concatenate([frames.mean(1), frames.std(1)], axis=-1)

  def describe(self, num_frames: int, tubelet_size: int) -> str:
    """What is pooled of clips, in a few words."""
    tokens = f'grid tokens of {tubelet_size} frame{"s" * (tubelet_size > 1)}'
    if self.kind == 'change':
      return f'{_KINDS[self.kind]}, {self.num_frames} frames apart; {tokens}'
    first = num_frames - self.num_frames if self.num_frames else 0
    return f'{_KINDS[self.kind]}, frames {first} to {num_frames - 1}; {tokens}'


# What is pooled in any case, so that evaluations can share it.
USUAL_POOLINGS = ('mean', 'mean_2', 'mean_std_8', 'change_2')


def pool(
  features: jax.Array, names: tuple[str, ...], tubelet_size: int = 1
) -> dict[str, jax.Array]:
  """Poolings of features [B, t, N, D], by name."""
  return {name: Pooling.named(name)(features, tubelet_size) for name in names}


def unit_length(features: jax.Array) -> jax.Array:
  """Features [..., D] of length 1, in float32."""
  features = jnp.asarray(features, jnp.float32)
  length = jnp.linalg.norm(features, axis=-1, keepdims=True)
  return features / jnp.maximum(length, 1e-12)
