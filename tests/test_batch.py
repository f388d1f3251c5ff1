"""The batch contract: what is lawful, and what an unlawful batch is told."""

import jax
import numpy as np
import pytest

from rvmae_jax import batch as batch_lib


def _spec(**changes) -> dict[str, jax.ShapeDtypeStruct]:
  """The shapes of a small RVM batch: B=2, T=4, S=3, 16 tokens, 1 visible."""
  shapes = {
    'video': ((2, 4, 32, 32, 3), 'uint8'),
    'target': ((2, 3, 32, 32, 3), 'uint8'),
    'target_delta': ((2, 3), 'int32'),
    'ids_keep': ((2, 3, 1), 'int32'),
    'ids_mask': ((2, 3, 15), 'int32'),
    'label': ((2,), 'int32'),
    'valid': ((2,), 'bool'),
  } | changes
  return {k: jax.ShapeDtypeStruct(*v) for k, v in shapes.items()}


def test_shapes_are_checked_without_arrays():
  batch_lib.check_batch(_spec())


@pytest.mark.parametrize('leading', [(2,), (2, 3), (2, 3, 4)])
def test_masks_may_be_per_clip_per_frame_or_deeper(leading):
  batch_lib.check_batch(
    {'ids_keep': jax.ShapeDtypeStruct((*leading, 5), 'int32')}
  )


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'vidoe': ((2,), 'int32')}, "'vidoe' is not in the contract"),
    ({'label': ((2,), 'int64')}, "'label' is int64; it must be int32"),
    ({'label': ((3,), 'int32')}, r"'label' has B=3 .* 'video' has B=2"),
    (
      {'target_delta': ((2, 4), 'int32')},
      r"'target_delta' has S=4 .* 'target' has S=3",
    ),
    (
      {'view2': ((2, 5, 32, 32, 3), 'uint8')},
      r"'view2' has T=5 .* 'video' has T=4",
    ),
    (
      {'video': ((2, 4, 32, 32, 1), 'uint8')},
      r"'video' has shape \(2, 4, 32, 32, 1\); it must be \[B T H W 3\]",
    ),
    ({'ids_keep': ((2,), 'int32')}, r"'ids_keep' has shape \(2,\)"),
  ],
)
def test_an_error_names_the_key_and_what_it_should_be(changes, message):
  with pytest.raises(ValueError, match=message):
    batch_lib.check_batch(_spec(**changes))


def test_host_keys_are_split_off_and_not_checked():
  batch = {'label': np.zeros(2, np.int32), 'host/paths': ['a', 'b']}
  batch_lib.check_batch(batch)
  device, host = batch_lib.split_host(batch)
  assert list(device) == ['label']
  assert list(host) == ['host/paths']


def test_fake_batch_has_the_shapes_asked_for_and_is_lawful():
  batch = batch_lib.fake_batch(_spec())
  batch_lib.check_batch(batch)
  for key, leaf in _spec().items():
    assert (batch[key].shape, batch[key].dtype) == (leaf.shape, leaf.dtype)
  assert batch['valid'].all()
  assert not batch['label'].any()
  assert batch['target_delta'].min() >= 1
  assert batch['target_delta'].max() < 64


def test_fake_masks_are_sorted_and_name_each_token_once():
  batch = batch_lib.fake_batch(_spec(ids_keep=((2, 3, 6), 'int32')))
  ids = np.concatenate([batch['ids_keep'], batch['ids_mask']], axis=-1)
  np.testing.assert_array_equal(
    np.sort(ids), np.broadcast_to(np.arange(21), (2, 3, 21))
  )
  assert (np.diff(batch['ids_mask']) > 0).all()


def test_fake_masks_differ_between_frames():
  masks = batch_lib.fake_batch(_spec(ids_keep=((2, 3, 6), 'int32')))['ids_keep']
  assert len(np.unique(masks.reshape(6, 6), axis=0)) > 1


def test_fake_batch_is_the_same_for_the_same_seed():
  first, second, other = (batch_lib.fake_batch(_spec(), s) for s in (1, 1, 2))
  for key in first:
    np.testing.assert_array_equal(first[key], second[key])
  assert (first['video'] != other['video']).any()
