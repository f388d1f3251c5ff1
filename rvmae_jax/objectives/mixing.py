"""Mixup and cutmix: pairs of labelled clips become one, on the device."""

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Mixing:
  """Mixes each clip of a batch with its counterpart from the batch's end.

  Mixup blends two clips with a weight from Beta(mixup, mixup). Cutmix puts a
  box of the second clip, at the same place in all frames, into the first; the
  share that stays is from Beta(cutmix, cutmix), and less is cut where the box
  leaves the frame. Every row draws for itself. The defaults are those with
  which VideoMAE is fine-tuned. Sources: 1710.09412, 1905.04899.

  Attributes:
    mixup: alpha of the Beta distribution, 0 = no mixup.
    cutmix: the same for cutmix.
    probability: of a row to be mixed.
    cutmix_share: of the mixed rows, if mixup is on as well.

  Raises:
    ValueError: a number is out of range, or both ways are off.
  """

  mixup: float = 0.8
  cutmix: float = 1.0
  probability: float = 1.0
  cutmix_share: float = 0.5

  def __post_init__(self):
    if min(self.mixup, self.cutmix) < 0 or self.mixup == self.cutmix == 0:
      raise ValueError(
        f'mixing: mixup={self.mixup} and cutmix={self.cutmix} must not be '
        'negative, nor both 0.'
      )
    for name in ('probability', 'cutmix_share'):
      if not 0 <= getattr(self, name) <= 1:
        raise ValueError(
          f'mixing: {name}={getattr(self, name)} must lie in [0, 1].'
        )

  def __call__(
    self, video: jax.Array, target: jax.Array, rng: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    """Mixed clips, and class probabilities mixed by the same shares.

    Args:
      video: [B, T, H, W, 3] uint8.
      target: [B, C] class probabilities, or zeros where nothing is known.
      rng: key; decides everything.

    Returns:
      `video` and `target` in the same shapes and dtypes.
    """
    own = self._own_share(rng, len(video), *video.shape[2:4])  # [B, H, W]
    share = own.mean(axis=(1, 2))[:, None]
    target = share * target + (1 - share) * target[::-1]
    own = own[:, None, :, :, None]
    mixed = own * video + (1 - own) * video[::-1]
    return jnp.round(mixed).astype(video.dtype), target

  def _own_share(self, rng, batch_size: int, height: int, width: int):
    """How much of its own each pixel of a row keeps: [B, H, W] float32."""
    keys = jax.random.split(rng, 6)

    def beta(key, alpha):  # 1 where that way of mixing is off.
      if not alpha:
        return jnp.ones((batch_size, 1, 1))
      return jax.random.beta(key, alpha, alpha, (batch_size, 1, 1))

    def outside(key, size, side):  # [B, size], False inside of the box.
      centre = jax.random.uniform(key, (batch_size, 1), maxval=size)
      return jnp.abs(jnp.arange(size) + 0.5 - centre) > side * size / 2

    blend = beta(keys[0], self.mixup)
    side = jnp.sqrt(1 - beta(keys[1], self.cutmix)[..., 0])  # [B, 1]
    rows, columns = (
      outside(keys[2], height, side),
      outside(keys[3], width, side),
    )
    cut = rows[:, :, None] | columns[:, None, :]

    cutmix_share = self.cutmix_share if self.mixup else 1.0
    cutmix_share = cutmix_share if self.cutmix else 0.0
    shape = (batch_size, 1, 1)
    is_cut = jax.random.bernoulli(keys[4], cutmix_share, shape)
    is_mixed = jax.random.bernoulli(keys[5], self.probability, shape)
    return jnp.where(is_mixed, jnp.where(is_cut, cut, blend), 1.0)
