"""VideoMAE's own promises: its cost, what sees what, masks it cannot take."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvmae_jax.batch import MaskLayout, Slots, fake_batch
from rvmae_jax.models import build_model

T, SIZE, PATCH, TUBELET = 4, 32, 8, 2
SLOTS, PLACES = T // TUBELET, (SIZE // PATCH) ** 2


def spec(num_visible=4, num_hidden=12, slots=SLOTS, size=SIZE):
  struct = jax.ShapeDtypeStruct
  return {
    'video': struct((1, slots * TUBELET, size, size, 3), jnp.uint8),
    'ids_keep': struct((1, slots * num_visible), jnp.int32),
    'ids_mask': struct((1, slots * num_hidden), jnp.int32),
  }


def tube_batch():
  """The first four places of each slot are visible."""
  slots = np.arange(SLOTS)[:, None] * PLACES
  return fake_batch(spec()) | {
    'ids_keep': (slots + np.arange(4)).reshape(1, -1),
    'ids_mask': (slots + np.arange(4, PLACES)).reshape(1, -1),
  }


def make(space_time, **fields):
  return build_model(
    {
      'name': 'videomae',
      'variant': 'tiny',
      'space_time': space_time,
      'patch_size': PATCH,
      'tubelet_size': TUBELET,
      **fields,
    }
  )


@pytest.fixture(scope='module', params=['joint', 'divided', 'per_frame'])
def network(request):
  """A model with variables away from their start, and a batch."""
  model, batch = make(request.param), tube_batch()
  variables = jax.jit(model.init)(jax.random.key(0), batch)
  leaves, tree = jax.tree.flatten(variables)
  noise = np.random.default_rng(0)
  leaves = [x + 0.1 * noise.standard_normal(x.shape) for x in leaves]
  return model, jax.tree.unflatten(tree, leaves), jax.jit(model.apply), batch


def change_tubelet(video, slot, row, column):
  """The video with the pixels of one tubelet inverted."""
  changed = video.copy()
  at = (
    slice(None),
    slice(slot * TUBELET, (slot + 1) * TUBELET),
    slice(row * PATCH, (row + 1) * PATCH),
    slice(column * PATCH, (column + 1) * PATCH),
  )
  changed[at] = 255 - changed[at]
  return changed


def test_hidden_pixels_are_never_seen(network):
  _, variables, apply, batch = network
  changed = batch | {'video': change_tubelet(batch['video'], 1, 3, 3)}
  np.testing.assert_array_equal(
    apply(variables, batch)['pred'], apply(variables, changed)['pred']
  )


def test_how_far_a_visible_tubelet_reaches(network):
  """The other slot's predictions change, unless slots stand alone."""
  model, variables, apply, batch = network
  changed = batch | {'video': change_tubelet(batch['video'], 0, 0, 0)}
  before, after = (apply(variables, b)['pred'] for b in (batch, changed))
  difference = np.abs(after - before).reshape(SLOTS, -1).max(-1)
  assert difference[0] > 1e-3
  assert (difference[1] > 1e-3) == (model.space_time != 'per_frame')


def test_encoding_visible_tokens_alone_gives_the_same_features():
  """All visible: the pre-training path and `encode` agree."""
  model = make('joint')
  batch = fake_batch(spec(num_visible=PLACES))
  ids = np.arange(SLOTS * PLACES)[None]
  batch |= {'ids_keep': ids, 'ids_mask': ids[:, :2]}
  out, variables = jax.jit(model.init_with_output)(jax.random.key(0), batch)
  features = model.apply(variables, batch['video'], method='encode')
  np.testing.assert_allclose(
    out['features'].reshape(features.shape), features, atol=1e-5
  )


def test_the_papers_cost_of_pretraining():
  """ViT-B, 16 frames of 224, 90 % hidden: 35.4 GMAC, 55 % in the decoder.

  The paper's code embeds hidden tubelets too, and then drops them.
  """
  model = build_model({'name': 'videomae', 'variant': 'B', 'tubelet_size': 2})
  count = model.flops_per_clip(spec(20, 176, slots=8, size=224))
  macs = {part: flops / 2e9 for part, flops in count.items()}
  theirs = sum(macs.values()) + macs['patch_embedding'] * 176 / 20
  assert theirs == pytest.approx(35.4, abs=0.05)
  rebuilding = macs['decoder'] + macs['output']
  assert rebuilding / theirs == pytest.approx(0.55, abs=0.005)


def test_parameters_of_the_papers_encoder():
  """ViT-B without CLS, positions and head: 86.2 M; no keys have a bias."""
  model = build_model({'name': 'videomae', 'variant': 'B', 'tubelet_size': 2})
  params = jax.eval_shape(
    model.init, jax.random.key(0), spec(20, 176, slots=8, size=224)
  )['params']
  sizes = {
    part: sum(leaf.size for leaf in jax.tree.leaves(tree))
    for part, tree in params.items()
  }
  assert sum(sizes.values()) / 1e6 == pytest.approx(94.2, abs=0.05)
  assert (sizes['patch_embedding'] + sizes['encoder']) / 1e6 == pytest.approx(
    86.2, abs=0.05
  )


@pytest.mark.parametrize(
  ('space_time', 'slots'),
  [
    ('joint', Slots.ANY),
    ('divided', Slots.TUBE),
    ('per_frame', Slots.EVEN),
  ],
)
def test_what_it_needs_of_masks(space_time, slots):
  assert make(space_time).needs_mask == MaskLayout('video', slots)


def test_slots_with_unequal_counts_are_refused():
  model = make('divided')
  uneven = spec() | {'ids_keep': jax.ShapeDtypeStruct((1, 7), jnp.int32)}
  with pytest.raises(ValueError, match='7 visible or hidden tokens are not'):
    jax.eval_shape(model.init, jax.random.key(0), uneven)


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'space_time': 'spiral'}, "Unknown space_time 'spiral'"),
    ({'rebuild': 'some'}, "Unknown rebuild 'some'"),
    ({'position': 'rope'}, "Unknown position 'rope'"),
    ({'tubelet_size': 3}, 'Tubelets of 3 frames do not tile a clip of 4'),
  ],
  ids=lambda value: next(iter(value)) if isinstance(value, dict) else '',
)
def test_impossible_models_are_answered(fields, message):
  model = make(**{'space_time': 'joint', **fields})
  with pytest.raises(ValueError, match=message):
    jax.eval_shape(model.init, jax.random.key(0), spec())
