import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvmae_jax.layers import patches


def test_patchify_order_by_hand():
  """A patch holds its pixels row by row, colours innermost."""
  video = np.arange(2 * 4 * 3).reshape(1, 2, 4, 3)
  tokens = patches.patchify(video, 2)
  assert tokens.shape == (1, 2, 12)
  # Second patch: columns 2 and 3 of rows 0 and 1; a row holds 12 values.
  want = [*range(6, 12), *range(18, 24)]
  np.testing.assert_array_equal(tokens[0, 1], want)


@pytest.mark.parametrize('shape', [(2, 3, 16, 24, 3), (8, 8, 3)], ids=str)
def test_unpatchify_is_the_inverse(shape):
  video = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
  grid = (shape[-3] // 8, shape[-2] // 8)
  again = patches.unpatchify(patches.patchify(video, 8), 8, grid)
  np.testing.assert_array_equal(again, video)


def test_tubelet_order_by_hand():
  """Slot by slot, row by row; in a tubelet frame by frame, then pixels."""
  video = np.arange(4 * 2 * 4 * 3).reshape(4, 2, 4, 3)
  tokens = patches.patchify_clip(video, 2, 2)
  assert tokens.shape == (2 * 2, 2 * 12)
  # The last token: columns 2 and 3 of frames 2 and 3; a frame holds 24 values.
  frame = np.array([*range(6, 12), *range(18, 24)])
  np.testing.assert_array_equal(tokens[3], [*(48 + frame), *(72 + frame)])


@pytest.mark.parametrize('shape', [(2, 4, 16, 24, 3), (6, 8, 8, 3)], ids=str)
def test_unpatchify_clip_is_the_inverse(shape):
  video = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
  grid = patches.clip_grid(shape, 8, 2)
  tokens = patches.patchify_clip(video, 8, 2)
  np.testing.assert_array_equal(
    patches.unpatchify_clip(tokens, 8, 2, grid), video
  )


def test_clips_that_tubelets_do_not_tile():
  with pytest.raises(ValueError, match='Tubelets of 2 frames do not tile a'):
    patches.clip_grid((3, 32, 32, 3), 16, 2)


def test_colours_are_normalised_by_hand():
  pixels = jnp.array([[1.0, 2.0, 3.0, 5.0, 6.0, 7.0]])
  out = patches.normalize_colours(pixels, (1.0, 2.0, 3.0), (1.0, 2.0, 4.0))
  np.testing.assert_allclose(out, [[0, 0, 0, 4, 2, 1]])


def test_put_back_by_hand():
  visible = jnp.array([[1.0, 2.0], [3.0, 4.0]])
  out = patches.put_back(visible, jnp.array([3, 0]), jnp.array([9.0, 8.0]), 4)
  np.testing.assert_array_equal(out, [[3, 4], [9, 8], [9, 8], [1, 2]])


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_put_back_is_exact(dtype):
  key = jax.random.key(0)
  tokens = jax.random.normal(key, (2, 3, 16, 5)).astype(dtype)
  ids = jnp.sort(jax.random.permutation(key, 16)[:6])
  ids = jnp.broadcast_to(ids, (2, 3, 6))
  fill = jnp.full((5,), 0.1, dtype)
  out = patches.put_back(patches.take_tokens(tokens, ids), ids, fill, 16)
  np.testing.assert_array_equal(
    patches.take_tokens(out, ids), patches.take_tokens(tokens, ids)
  )
  hidden = np.setdiff1d(np.arange(16), ids[0, 0])
  assert (out[:, :, hidden] == fill).all()


def test_put_back_is_exact_on_accelerators():
  """Float32 is not cut short, neither forward nor backward (jax.grad)."""
  visible, ids = jnp.ones((2, 3)), jnp.array([3, 0])

  def loss(visible):
    return (patches.put_back(visible, ids, jnp.zeros(3), 4) ** 2).sum()

  products = [
    equation.params['precision']
    for equation in jax.make_jaxpr(jax.grad(loss))(visible).eqns
    if equation.primitive.name == 'dot_general'
  ]
  assert products == [(jax.lax.Precision.HIGHEST,) * 2] * 2


def test_frames_that_patches_do_not_tile():
  with pytest.raises(ValueError, match='Patches of 16 do not tile a 40x64'):
    patches.patch_grid(40, 64, 16)


def test_to_unit_float():
  video = jnp.array([0, 51, 255], jnp.uint8)
  np.testing.assert_allclose(
    patches.to_unit_float(video), [0, 0.2, 1], rtol=1e-6
  )
