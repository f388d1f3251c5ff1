"""Features of a video, in colours and curves."""

import numpy as np
import pytest

from rvmae_jax.tools.explorer import features


def test_parts_are_the_features_of_the_whole_and_the_norms_of_their_states(
  network, noise
):
  video = np.concatenate([noise, noise[:2]])  # More than are encoded at once.
  found = features.join(list(features.encode(network, video)))
  # CLS, then the grid; the state of the core is its features.
  true = network.functions.encode(video[None])[0]
  assert found.features.shape == (10, 4, 4, 32)
  assert np.allclose(
    found.features, true[:, 1:].reshape(10, 4, 4, 32), atol=1e-5
  )
  norms = np.linalg.norm(true, axis=-1).mean(-1)
  assert np.allclose(found.courses['state_norm'], norms, rtol=1e-5)
  assert found.courses['update_gate'].shape == (10,)
  assert features.draw_courses(found.courses).startswith(b'\x89PNG')


@pytest.fixture(name='halves')
def _halves():
  """Two kinds of tokens, which change places after the first frame."""
  values = np.zeros((2, 2, 4, 3))
  values[0, :, :2, 0] = values[1, :, 2:, 0] = 1
  values[0, :, 2:, 1] = values[1, :, :2, 1] = 1
  return values


def test_clusters_are_the_kinds_of_tokens(halves):
  colours = features.colour_clusters(halves, 2, patch_size=2)
  assert colours.shape == (2, 4, 8, 3)
  left, right = colours[0, 0, 0], colours[0, 0, -1]
  assert not np.array_equal(left, right)
  assert (colours[0, :, :4] == left).all() and (colours[1, :, 4:] == left).all()
  assert (colours[1, :, :4] == right).all()


def test_like_a_token_are_those_of_its_kind(halves):
  cosines = features.likeness(halves, time=1, row=0, column=3)
  assert np.array_equal(cosines, halves[..., 0])
  light = features.colour_likeness(cosines, patch_size=1)
  assert light[0, 0, 0].sum() > 600 > 100 > light[0, 0, 3].sum()


def test_what_never_changes_is_nothing_without_its_place():
  still = np.ones((3, 2, 2, 4)) * np.arange(4)
  assert not features.without_places(still).any()
