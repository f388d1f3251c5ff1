"""Rebuild what the mask hides; the objective of masked autoencoders."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from rvmae_jax.layers import patches
from rvmae_jax.losses import family_of, pixel, weighted_terms
from rvmae_jax.objectives.statistics import network_metrics, pooled

# Families of losses that this objective knows what to give to.
_FAMILIES = ('pixel', 'temporal', 'perceptual', 'contrastive')


class MaskedReconstruction:
  """Weighted losses of predicted patches, and of the features behind them.

  What is rebuilt are the frames of `target` where the batch has it (RVM), each
  by itself; else the tubelets of `video`, counted through the whole clip.

  Attributes:
    losses: loss name -> weight; each term is logged under its name. Pixel
      losses compare patches. Temporal ones take the model's features of each
      time, and make sense where the same places are shown at all of them.
      Contrastive ones compare the features of `video` with those of `view2`
      under the same mask, as means over times and places, both ways round.
      Perceptual ones compare rebuilt with true frames, see below.
    patch_size, tubelet_size: pixels and frames of a patch.
    patches: 'all' compares every patch that the model predicts (RVM), 'hidden'
      only those that were masked.
    normalize: see `losses.pixel.patch_statistics`.
    pixel_mean, pixel_std: for each colour; pixels are shifted and scaled by
      them before their patches are normalised, as ImageMAE does.
    needs_judge: whether a call needs `perceptual_features`.
    encodes_view2: whether a call asks for the features of `view2` as well.
  """

  def __init__(
    self,
    losses: Mapping[str, float],
    patch_size: int,
    tubelet_size: int = 1,
    patches: str = 'all',
    normalize: str = 'none',
    pixel_mean: Sequence[float] = (0.0, 0.0, 0.0),
    pixel_std: Sequence[float] = (1.0, 1.0, 1.0),
  ):
    if patches not in ('all', 'hidden'):
      raise ValueError(f"Unknown patches={patches!r}; use 'all' or 'hidden'.")
    self.losses = weighted_terms(losses, _FAMILIES)
    self.families = {name: family_of(name) for name in losses}
    # Contrastive losses compare rows: the trainer must not cut a batch.
    self.encodes_view2 = 'contrastive' in self.families.values()
    self.needs_whole_batch = self.encodes_view2
    self.needs_judge = 'perceptual' in self.families.values()
    self.patch_size, self.tubelet_size = patch_size, tubelet_size
    self.patches = patches
    self.normalize = normalize
    self.pixel_mean, self.pixel_std = tuple(pixel_mean), tuple(pixel_std)

  def __call__(
    self,
    apply: Callable[..., Mapping[str, Any]],
    params: Any,
    batch: Mapping[str, jax.Array],
    *,
    rng: jax.Array,
    train: bool,
    perceptual_features: Callable[[jax.Array], Any] | None = None,
  ) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Loss and scalar metrics of a batch with `ids_keep`.

    The model gives `pred` [..., P, pixels] and, unless it predicts all patches
    in grid order, `pred_ids` [..., P], which patches these are. A model that
    predicts a clip in C steps, each from what `ids_keep` [B, C, K] shows up to
    then, gives those of each step, [B, C, P].

    `perceptual_features` are those of a frozen network, video -> features as
    perceptual losses take them. What is rebuilt goes through it as clips, or
    frame by frame if it is `target`.

    Metrics: `loss`, each term under its own name, `psnr_hidden` (dB, mean over
    target frames or clips, in pixel space whatever the normalisation), and
    those of `objectives.statistics`.
    """
    outputs = apply(params, batch, train=train, rng=rng)
    pred, pred_ids = outputs['pred'], outputs.get('pred_ids')
    true = self._true_patches(batch)  # [..., N, pixels]
    hidden = hidden_mask(batch['ids_keep'], true.shape[-2])
    if pred_ids is not None:
      if pred_ids.ndim == true.ndim:
        true = true[:, None]  # All steps are about one clip.
      true = patches.take_tokens(true, pred_ids)
      hidden = jnp.take_along_axis(hidden, pred_ids, axis=-1)
    shift, scale = self._statistics(true)
    normalized = (true - shift) / scale

    mask = hidden if self.patches == 'hidden' else None

    def features_of_view2():
      if 'view2' not in batch:
        raise ValueError(
          'Contrastive losses compare two clips of a video, and the batch has '
          "no `view2`; use the clip sampler 'two_views'."
        )
      other = {**batch, 'video': batch['view2']}
      return apply(params, other, train=train, rng=rng)['features']

    def features_in_time():
      features = outputs['features']
      num_slots, *_ = patches.clip_grid(
        batch['video'].shape, self.patch_size, self.tubelet_size
      )
      if features.ndim != 4 or features.shape[1] != num_slots:
        raise ValueError(
          f'Temporal losses need features of each of {num_slots} times, and '
          f'this model gives {list(features.shape)}. Use rvm or rvmae, or '
          'leave the temporal terms out of config.losses.'
        )
      return features

    # Family -> the mean of one of its losses.
    mean_of = {
      'pixel': lambda term: pixel.masked_mean(term(pred, normalized), mask),
      'temporal': lambda term: term(features_in_time()).mean(),
      'perceptual': lambda term: term(
        *self._perceived(perceptual_features, outputs, batch)
      ).mean(),
      'contrastive': lambda term: _both_ways(
        term, pooled(outputs['features']), pooled(features_of_view2())
      ),
    }
    loss, metrics = jnp.zeros(()), {}
    for name, (term, weight) in self.losses.items():
      metrics[name] = mean_of[self.families[name]](term)
      loss += weight * metrics[name]

    error = pixel.l2(pred * scale + shift, true)  # [..., P]
    error = (error * hidden).sum(-1) / hidden.sum(-1)
    psnr = -10 * jnp.log10(jnp.maximum(error, 1e-10))
    metrics |= {'loss': loss, 'psnr_hidden': psnr.mean()}
    metrics |= network_metrics(outputs)
    return loss, jax.lax.stop_gradient(metrics)

  def to_pixels(
    self, outputs: Mapping[str, jax.Array], batch: Mapping[str, jax.Array]
  ) -> jax.Array:
    """All patches in grid order, [..., N, pixels] in [0, 1].

    Patches that the model does not predict are the true ones. Normalised
    patches get the true ones' mean and scale, as is the custom; they then know
    more than patches that were predicted as they are.
    """
    pred, pred_ids = outputs['pred'], outputs.get('pred_ids')
    true = self._true_patches(batch)
    shift, scale = self._statistics(true)
    if pred_ids is None:
      return pred * scale + shift
    if pred_ids.ndim == true.ndim:
      # [B, C, P, pixels] -> [B, C*P, pixels]
      pred = pred.reshape(len(pred), -1, pred.shape[-1])
      pred_ids = pred_ids.reshape(len(pred), -1)
    placed = patches.put_back(
      pred, pred_ids, jnp.zeros(pred.shape[-1:]), true.shape[-2]
    )
    is_true = hidden_mask(pred_ids, true.shape[-2])[..., None]
    return jnp.where(is_true, true, placed * scale + shift)

  def to_frames(
    self, outputs: Mapping[str, jax.Array], batch: Mapping[str, jax.Array]
  ) -> jax.Array:
    """`to_pixels` as frames, of `target` where the batch has it, or `video`."""
    return self._lay_out(self.to_pixels(outputs, batch), batch)

  def _lay_out(
    self, pixels: jax.Array, batch: Mapping[str, jax.Array]
  ) -> jax.Array:
    """All patches in grid order as frames [B, S or T, H, W, 3]."""
    p, z = self.patch_size, self.tubelet_size
    if 'target' in batch:
      grid = patches.patch_grid(*batch['target'].shape[-3:-1], p)
      return patches.unpatchify(pixels, p, grid)
    grid = patches.clip_grid(batch['video'].shape, p, z)
    return patches.unpatchify_clip(pixels, p, z, grid)

  def _perceived(
    self,
    features: Callable[[jax.Array], Any] | None,
    outputs: Mapping[str, jax.Array],
    batch: Mapping[str, jax.Array],
  ) -> tuple[Any, Any]:
    """Features of what was rebuilt and of what is true."""
    if features is None:
      raise ValueError(
        'Perceptual losses need a frozen network: set '
        'config.perceptual_checkpoint to a run, a weights file, or VGG16 as '
        'rvmae_jax.perceptual describes it.'
      )

    def perceive(pixels):
      video = self._lay_out(pixels, batch)
      if 'target' in batch:
        # [B, S, H, W, 3] -> [B*S, 1, H, W, 3]
        video = video.reshape(-1, 1, *video.shape[2:])
      return features(video)

    return (
      perceive(self.to_pixels(outputs, batch)),
      perceive(self._true_patches(batch)),
    )

  def _true_patches(self, batch: Mapping[str, jax.Array]) -> jax.Array:
    """What is to be rebuilt, [..., N, pixels] in [0, 1]."""
    if 'target' in batch:
      true = patches.patchify(batch['target'], self.patch_size)
    else:
      true = patches.patchify_clip(
        batch['video'], self.patch_size, self.tubelet_size
      )
    return patches.to_unit_float(true)

  def _statistics(
    self, true: jax.Array
  ) -> tuple[jax.Array | float, jax.Array | float]:
    """`shift` and `scale`: the model predicts `(true - shift) / scale`."""
    mean, std = (
      jnp.tile(jnp.array(values), true.shape[-1] // len(values))
      for values in (self.pixel_mean, self.pixel_std)
    )
    shift, scale = pixel.patch_statistics((true - mean) / std, self.normalize)
    return shift * std + mean, scale * std


def hidden_mask(ids_keep: jax.Array, num_tokens: int) -> jax.Array:
  """1 at hidden tokens, 0 at visible ones: [..., K] -> [..., N] float32."""
  return 1 - jax.nn.one_hot(ids_keep, num_tokens).sum(axis=-2)


def _both_ways(
  term: Callable[..., jax.Array], first: jax.Array, second: jax.Array
) -> jax.Array:
  return (term(first, second) + term(second, first)).mean() / 2
