"""Every mask of the table, drawn by the pipeline."""

import pytest

from rvmae_jax.batch import check_batch, split_host
from rvmae_jax.data.pipeline import batch_spec, make_dataset
from rvmae_jax.masking import MASKS

NUM_VIDEOS, BATCH_SIZE = 6, 3
TOKEN = {'patch_size': 2, 'tubelet_size': 2}
SETTINGS = {'clusters': {'cluster': (2, 3, 3)}}


def _config(name):
  if MASKS.get(name).layout.hides == 'target':
    clip = {'name': 'source_target', 'gap': (1, 8), 'num_source': 4}
  else:
    clip = {'name': 'uniform', 'num_frames': 8, 'stride': 1}
  fake = {'num_videos': NUM_VIDEOS, 'num_frames': 20, 'size': (16, 20)}
  return {
    'sources': {'noise': {'name': 'fake', **fake}},
    'clip': clip,
    'crop': {'size': (12, 12)},
    'mask': {'name': name, 'ratio': 0.7, **SETTINGS.get(name, {})},
    'num_threads': 2,
  }


def _dataset(name, train=True, seed=0):
  return make_dataset(
    _config(name), seed=seed, batch_size=BATCH_SIZE, train=train, **TOKEN
  )


def _ids(batches):
  """ids_keep and ids_mask of each row, as bytes."""
  return [
    keep.tobytes() + mask.tobytes()
    for batch in batches
    for keep, mask in zip(batch['ids_keep'], batch['ids_mask'])
  ]


def _take(dataset, num_batches):
  iterator = iter(dataset)
  return [next(iterator) for _ in range(num_batches)]


@pytest.mark.parametrize('name', MASKS.names())
def test_batches_have_the_shapes_that_batch_spec_foretells(name):
  (batch,) = _take(_dataset(name), 1)
  check_batch(batch)
  spec = batch_spec(_config(name), BATCH_SIZE, **TOKEN)
  device, _ = split_host(batch)
  assert {key: value.shape for key, value in device.items()} == {
    key: value.shape for key, value in spec.items()
  }


@pytest.mark.parametrize('name', MASKS.names())
def test_rows_and_epochs_have_masks_of_their_own(name):
  ids = _ids(_take(_dataset(name), 3 * NUM_VIDEOS // BATCH_SIZE))
  assert len(ids) == 3 * NUM_VIDEOS
  assert len(set(ids)) == len(ids)


@pytest.mark.parametrize('name', MASKS.names())
def test_masks_are_the_same_again_after_a_resume(name):
  iterator = iter(_dataset(name))
  next(iterator)
  state = iterator.get_state()
  expected = _ids([next(iterator) for _ in range(3)])
  resumed = iter(_dataset(name))
  resumed.set_state(state)
  assert _ids([next(resumed) for _ in range(3)]) == expected
  assert _ids(_take(_dataset(name, seed=1), 3)) != expected


@pytest.mark.parametrize('name', MASKS.names())
def test_evaluation_draws_the_same_masks_every_time(name):
  dataset = _dataset(name, train=False)
  assert _ids(dataset) == _ids(dataset)


@pytest.mark.parametrize('name', MASKS.names())
@pytest.mark.parametrize('ratio', [0.0, 1.0])
def test_no_visible_or_no_hidden_token_is_refused_before_data_is_read(
  name, ratio
):
  config = _config(name)
  config['mask']['ratio'] = ratio
  config['sources'] = {'none': {'name': 'folder', 'path': '/no/such/folder'}}
  if name == 'clusters' and ratio == 0:
    message = '/no/such/folder'  # All tokens may be seen; the source is wrong.
  else:
    message = f'Mask ratio {ratio} leaves'
  with pytest.raises((ValueError, FileNotFoundError), match=message):
    make_dataset(config, seed=0, batch_size=3, train=True, **TOKEN)
