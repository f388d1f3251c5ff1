import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvmae_jax.losses.contrastive import info_nce
from rvmae_jax.objectives.masked_reconstruction import (
  MaskedReconstruction,
  hidden_mask,
)


def run(pred, batch, **options):
  objective = MaskedReconstruction(
    losses={'pixel_l2': 2.0}, patch_size=1, **options
  )
  return objective(
    lambda params, batch, **_: {'pred': pred},
    None,
    batch,
    rng=jax.random.key(0),
    train=True,
  )


@pytest.fixture
def batch():
  """Two 1x1 patches: black is visible, white is hidden."""
  target = np.zeros((1, 1, 1, 2, 3), np.uint8)
  target[..., 1, :] = 255
  return {'target': target, 'ids_keep': np.array([[[0]]])}


def test_all_patches_by_hand(batch):
  pred = jnp.array([0.5, 0.9])[None, None, :, None] * jnp.ones(3)
  loss, metrics = run(pred, batch)
  # (0.25 + 0.01) / 2 = 0.13, weight 2.
  assert metrics['pixel_l2'] == pytest.approx(0.13)
  assert loss == pytest.approx(0.26)
  # Hidden: error 0.01 -> 20 dB.
  assert metrics['psnr_hidden'] == pytest.approx(20.0, abs=1e-4)


def test_hidden_patches_by_hand(batch):
  pred = jnp.array([0.5, 0.9])[None, None, :, None] * jnp.ones(3)
  loss, _ = run(pred, batch, patches='hidden')
  assert loss == pytest.approx(0.02)


@pytest.mark.parametrize('normalize', ['patch', 'channel'])
def test_psnr_is_in_pixels_whatever_the_normalisation(normalize):
  rng = np.random.default_rng(0)
  target = rng.integers(0, 256, (1, 1, 2, 4, 3), np.uint8)
  objective = MaskedReconstruction({'pixel_l2': 1.0}, 2, normalize=normalize)
  batch = {'target': target, 'ids_keep': np.array([[[1]]])}
  # The mean of each patch is what a prediction of 0 stands for.
  _, metrics = objective(
    lambda *_, **__: {'pred': jnp.zeros((1, 1, 2, 12))},
    None,
    batch,
    rng=jax.random.key(0),
    train=False,
  )
  hidden = target[0, 0, :, :2].reshape(4, 3) / 255
  mean = hidden.mean() if normalize == 'patch' else hidden.mean(0)
  want = -10 * np.log10(((hidden - mean) ** 2).mean())
  assert metrics['psnr_hidden'] == pytest.approx(want, abs=1e-3)


@pytest.fixture
def clip():
  """Two frames of two 1x1 patches; tokens 0 and 3 of four are visible."""
  video = np.arange(4, dtype=np.float32).reshape(1, 2, 1, 2, 1) / 10
  return {
    'video': np.repeat(video, 3, axis=-1),
    'ids_keep': np.array([[0, 3]]),
  }


@pytest.mark.parametrize('patches', ['all', 'hidden'])
def test_a_clip_of_which_some_tokens_are_predicted(clip, patches):
  """Tokens 3 (visible) and 1 (hidden), 0.1 and 0.2 too high."""
  outputs = {
    'pred': jnp.array([[0.4, 0.3]])[..., None] * jnp.ones(3),
    'pred_ids': jnp.array([[3, 1]]),
  }
  objective = MaskedReconstruction({'pixel_l2': 1.0}, 1, patches=patches)
  loss, metrics = objective(
    lambda *_, **__: outputs, None, clip, rng=None, train=True
  )
  want = {'all': (0.01 + 0.04) / 2, 'hidden': 0.04}[patches]
  assert loss == pytest.approx(want, rel=1e-5)
  assert metrics['psnr_hidden'] == pytest.approx(-10 * np.log10(0.04), rel=1e-5)
  # What is not predicted stays as it is.
  pixels = objective.to_pixels(outputs, clip)
  np.testing.assert_allclose(pixels[0, :, 0], [0, 0.3, 0.2, 0.4], atol=1e-6)
  # Two frames, one above the other, of two pixels.
  frames = objective.to_frames(outputs, clip)
  np.testing.assert_allclose(
    frames[0, :, 0, :, 0], [[0, 0.3], [0.2, 0.4]], atol=1e-6
  )


def test_pixels_are_standardised_before_their_patches():
  """One patch, colours 0.2 0.4 0.9: 1 2 3 after mean and std, then -1 0 1."""
  video = jnp.array([0.2, 0.4, 0.9]).reshape(1, 1, 1, 1, 3)
  objective = MaskedReconstruction(
    {'pixel_l2': 1.0},
    1,
    normalize='patch',
    pixel_mean=(0.1, 0.2, 0.3),
    pixel_std=(0.1, 0.1, 0.2),
  )
  outputs = {'pred': jnp.array([[[-1.0, 0.0, 1.0]]])}
  batch = {'video': video, 'ids_keep': np.zeros((1, 0), int)}
  loss, _ = objective(
    lambda *_, **__: outputs, None, batch, rng=None, train=True
  )
  assert loss == pytest.approx(0, abs=1e-6)
  np.testing.assert_allclose(
    objective.to_pixels(outputs, batch)[0, 0], [0.2, 0.4, 0.9], rtol=1e-5
  )


def test_hidden_mask_by_hand():
  mask = hidden_mask(jnp.array([[0, 3], [1, 2]]), 4)
  np.testing.assert_array_equal(mask, [[0, 1, 1, 0], [1, 0, 0, 1]])


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'losses': {}}, r'config\.losses has no losses; .* takes info_nce, perc'),
    ({'losses': {'pixel_l3': 1.0}}, "Did you mean 'pixel_l2'"),
    ({'losses': {'pixel_l2': 1.0}, 'patches': 'some'}, "patches='some'"),
  ],
  ids=['none', 'unknown', 'patches'],
)
def test_wrong_options_are_answered(options, message):
  with pytest.raises(ValueError, match=message):
    MaskedReconstruction(patch_size=8, **options)


def test_steps_by_hand():
  """Three pixels in the order 2, 0, 1: each is told by those before it."""
  video = np.zeros((1, 1, 1, 3, 3), np.uint8)
  video[..., 1, :] = 255
  batch = {'video': video, 'ids_keep': np.array([[[2], [0]]])}
  outputs = {
    'pred': jnp.array([0.1, 0.7]).reshape(1, 2, 1, 1) * jnp.ones(3),
    'pred_ids': jnp.array([[[0], [1]]]),
  }
  objective = MaskedReconstruction(
    {'pixel_l2': 1.0}, patch_size=1, patches='hidden'
  )
  loss, metrics = objective(
    lambda *_, **__: outputs, None, batch, rng=None, train=True
  )
  # Errors 0.1**2 and 0.3**2; pixel 0, seen in the second step, still counts.
  assert loss == pytest.approx(0.05)
  # 20 dB and 10.458 dB.
  assert metrics['psnr_hidden'] == pytest.approx(15.229, abs=1e-3)
  pixels = objective.to_pixels(outputs, batch)
  np.testing.assert_allclose(pixels[0, :, 0], [0.1, 0.7, 0], atol=1e-6)


def clip_model(params, batch, **_):
  """Predicts black hidden patches; two features tell the mean of a frame."""
  del params
  video = batch['video'] / 255
  mean = jnp.repeat(video.mean((2, 3, 4))[:, :, None], 2, axis=2)
  return {
    'pred': jnp.zeros((*batch['ids_mask'].shape, 3)),
    'pred_ids': batch['ids_mask'],
    'features': jnp.stack([mean, 1 - mean], axis=-1),  # [B, T, 2, 2]
  }


@pytest.fixture
def clips():
  """Two clips of two frames of two 1x1 patches, the second patch hidden."""
  values = jnp.array([[[0, 0], [0, 255]], [[255, 255], [255, 255]]], jnp.uint8)
  video = jnp.broadcast_to(values[:, :, None, :, None], (2, 2, 1, 2, 3))
  ids_keep, ids_mask = jnp.array([[0, 2]] * 2), jnp.array([[1, 3]] * 2)
  return {'video': video, 'ids_keep': ids_keep, 'ids_mask': ids_mask}


def run_clips(losses, clips, **networks):
  objective = MaskedReconstruction(losses, patch_size=1)
  return objective(
    clip_model, None, clips, rng=jax.random.key(0), train=True, **networks
  )


def test_all_families_add_up_by_hand(clips):
  def features(video):  # Two features, the first frame's last patch and 1.
    value = video[:, :1, 0, -1, :1]  # [B, 1, 1]
    return jnp.concatenate([value, jnp.ones_like(value)], axis=-1)

  losses = {'pixel_l1': 1.0, 'temporal_l1': 10.0, 'perceptual': 100.0}
  loss, metrics = run_clips(losses, clips, perceptual_features=features)
  # Black is right for one of four hidden patches.
  assert metrics['pixel_l1'] == pytest.approx(3 / 4)
  # Means of frames 0 1/2 and 1 1.
  assert metrics['temporal_l1'] == pytest.approx(1 / 4)
  # The second clip has (0, 1) for (1, 1); the first is right.
  assert metrics['perceptual'] == pytest.approx(1 / 2, abs=1e-6)
  want = 3 / 4 + 10 / 4 + 100 / 2
  assert loss == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize(
  'shape',
  [
    (2, 4, 2),  # Of all times together.
    (2, 3, 2, 2),  # Of clusters.
  ],
)
def test_temporal_losses_compare_nothing_but_times(clips, shape):
  objective = MaskedReconstruction({'temporal_l1': 1.0}, patch_size=1)

  def model(*args, **settings):
    return {**clip_model(*args, **settings), 'features': jnp.zeros(shape)}

  with pytest.raises(ValueError, match='need features of each of 2 times'):
    objective(model, None, clips, rng=jax.random.key(0), train=True)


def test_views_of_a_video_are_told_from_others(clips):
  losses = {'info_nce': 1.0}
  matching, _ = run_clips(losses, {**clips, 'view2': clips['video']})
  swapped, _ = run_clips(losses, {**clips, 'view2': clips['video'][::-1]})
  # Features (m, 1 - m) with means m of 1/4 and 1.
  first = np.array([[0.25, 0.75], [1, 0]])
  for loss, second in ((matching, first), (swapped, first[::-1])):
    both = info_nce(first, second) + info_nce(second, first)
    assert loss == pytest.approx(float(both.mean()) / 2, rel=1e-5)
  objective = MaskedReconstruction(losses, patch_size=1)
  assert objective.needs_whole_batch
  assert not MaskedReconstruction({'pixel_l2': 1.0}, 1).needs_whole_batch


@pytest.mark.parametrize(
  ('loss', 'message'),
  [
    ('info_nce', "no `view2`; use the clip sampler 'two_views'"),
    ('perceptual', 'set config.perceptual_checkpoint'),
    ('cross_entropy', 'has cross_entropy; this objective takes info_nce'),
  ],
)
def test_what_a_loss_lacks_is_answered(clips, loss, message):
  with pytest.raises(ValueError, match=message):
    run_clips({loss: 1.0}, clips)


def test_perceptual_losses_take_targets_frame_by_frame(batch):
  """One 1x2 target: a clip of one frame, with the prediction in it."""
  seen = []

  def features(video):
    seen.append(video)
    return video.mean((2, 3))

  pred = jnp.array([0.5, 0.9])[None, None, :, None] * jnp.ones(3)
  objective = MaskedReconstruction({'perceptual': 1.0}, patch_size=1)
  assert objective.needs_judge
  objective(
    lambda *_, **__: {'pred': pred},
    None,
    batch,
    rng=jax.random.key(0),
    train=True,
    perceptual_features=features,
  )
  np.testing.assert_allclose(seen[0][0, 0, 0, :, 0], [0.5, 0.9])
  np.testing.assert_array_equal(seen[1][0, 0, 0, :, 0], [0, 1])
