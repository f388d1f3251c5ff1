"""What every mask of the table promises, checked for each by its name."""

import numpy as np
import pytest

from rvmae_jax.batch import MaskLayout, Slots
from rvmae_jax.masking import MASKS, build_mask, check_mask

GRID = (8, 6, 6)  # 36 places, 288 tokens
NUM_FRAMES = {'video': 16, 'target': 4}

# name -> settings, shape of ids_keep, shape of ids_mask, worked by hand.
CASES = {
  # 36 * 0.75 = 27 places hidden, 9 shown in each of 8 slots.
  'block': ({'ratio': 0.75}, (72,), (216,)),
  # Clusters of 36 tokens: 8 of them, 7 steps; 36 * 0.2 = 7.2 tokens kept.
  'clusters': ({'cluster': (4, 3, 3), 'ratio': 0.8}, (7, 7), (7, 36)),
  # 36 * 0.7 = 25.2 hidden, 11 shown in each of 8 slots.
  'frame_difference': ({'ratio': 0.7}, (88,), (200,)),
  'motion_guided': ({'ratio': 0.7}, (88,), (200,)),
  # 36 * 0.3 = 10.8 shown in each of 8 slots.
  'per_frame': ({'ratio': 0.7}, (80,), (208,)),
  # 288 * 0.3 = 86.4 shown.
  'random': ({'ratio': 0.7}, (86,), (202,)),
  # Half of 8 * 27 hidden tokens.
  'running_cell': ({'ratio': 0.75}, (72,), (108,)),
  # 8 * 0.7 = 5.6 slots shown, 36 * 0.3 = 10.8 tokens in each.
  'space_time': ({'ratio': 0.7, 'frame_ratio': 0.3}, (50,), (238,)),
  # 36 * 0.3 = 10.8 shown in each of 4 target frames.
  'target': ({'ratio': 0.7}, (4, 10), (4, 26)),
  # 36 * 0.7 = 25.2 places hidden, 11 shown.
  'tube': ({'ratio': 0.7}, (88,), (200,)),
}
# Seen tokens become targets only later, or hidden ones are not all rebuilt.
NO_PARTITION = {'clusters', 'running_cell'}
# Not every set of places is as likely as any other.
UNEVEN_CHANCES = {
  'block',
  'clusters',
  'frame_difference',
  'motion_guided',
  'space_time',
}


def _build(name, **changes):
  settings = {'name': name, **CASES[name][0], **changes}
  num_frames = dict(NUM_FRAMES)
  if MASKS.get(name).layout.hides == 'video':
    del num_frames['target']
  return build_mask(settings, num_frames, GRID[1:], tubelet_size=2)


def _clip():
  """A spot that moves to the right, and its flow towards the middle."""
  clip = {key: np.zeros((n, 12, 12, 3)) for key, n in NUM_FRAMES.items()}
  for number, frame in enumerate(clip['video']):
    frame[4:8, number // 2 : number // 2 + 3] = 200
  flow = np.zeros((16, 12, 12, 2), np.float32)
  flow[..., 0] = 0.5 * np.sign(8 - np.arange(16))[:, None, None]
  return {**clip, 'flow': flow}


def _draw(name, num_clips=1, seed=0):
  """[clips, ...] of both kinds of ids."""
  mask = _build(name)
  rng = np.random.default_rng(seed)
  clips = [mask(_clip(), rng) for _ in range(num_clips)]
  return [np.stack([c[key] for c in clips]) for key in ('ids_keep', 'ids_mask')]


def _num_tokens(name):
  return 36 if MASKS.get(name).layout.hides == 'target' else 288


def _at(ids, num_tokens):
  """bool [..., N]: True at these tokens."""
  maps = np.zeros((*ids.shape[:-1], num_tokens), bool)
  np.put_along_axis(maps, ids, True, axis=-1)
  return maps


def _by_slot(name, ids):
  """bool [clips, slots, places]: True at these tokens."""
  if MASKS.get(name).layout.hides == 'target':
    return _at(ids, 36)
  ids = ids.reshape(len(ids), -1)
  return _at(ids, 288).reshape(-1, 8, 36)


def test_every_mask_of_the_table_is_tested():
  assert sorted(CASES) == MASKS.names()


@pytest.mark.parametrize('name', CASES)
def test_counts_are_exact(name):
  ids_keep, ids_mask = _draw(name)
  assert (ids_keep.shape[1:], ids_mask.shape[1:]) == CASES[name][1:]


@pytest.mark.parametrize('name', CASES)
def test_ids_are_sorted_and_inside_the_grid(name):
  for ids in _draw(name, num_clips=20):
    assert ids.dtype == np.int32
    assert (np.diff(ids) > 0).all()
    assert ids.min() >= 0
    assert ids.max() < _num_tokens(name)


@pytest.mark.parametrize('name', CASES)
def test_visible_and_hidden_tokens_are_a_partition(name):
  ids_keep, ids_mask = _draw(name, num_clips=20)
  together = np.sort(np.concatenate([ids_keep, ids_mask], axis=-1))
  assert (np.diff(together) > 0).all(), 'a token is both visible and hidden'
  if name not in NO_PARTITION:
    np.testing.assert_array_equal(
      together, np.broadcast_to(np.arange(_num_tokens(name)), together.shape)
    )


@pytest.mark.parametrize('name', CASES)
def test_the_seed_decides(name):
  first, again, other = (_draw(name, 3, seed) for seed in (1, 1, 2))
  for ids, same, others in zip(first, again, other):
    np.testing.assert_array_equal(ids, same)
    assert (ids != others).any()


@pytest.mark.parametrize('name', CASES)
def test_clips_draw_independently(name):
  ids_keep, _ = _draw(name, num_clips=400)
  shown = _at(ids_keep, _num_tokens(name)).reshape(400, -1).astype(float)
  # Two clips share what chance shares: the product of how often each is shown.
  expected = np.square(shown.mean(0)).sum()
  shared = (shown[1:] * shown[:-1]).sum(-1)
  deviation = shared.std() / np.sqrt(len(shared))
  assert abs(shared.mean() - expected) < 4 * deviation


@pytest.mark.parametrize('name', sorted(set(CASES) - UNEVEN_CHANCES))
def test_every_token_is_shown_equally_often(name):
  ids_keep, _ = _draw(name, num_clips=600)
  share = _by_slot(name, ids_keep).mean((0, 1))
  expected = ids_keep[0].size / _by_slot(name, ids_keep)[0].size
  # A tube shows a place in all slots at once: 600 draws, deviation below 0.02.
  assert np.abs(share - expected).max() < 0.08


@pytest.mark.parametrize('name', CASES)
def test_slots_are_as_even_as_declared(name):
  # [both kinds, clips, slots, places]
  maps = np.stack([_by_slot(name, ids) for ids in _draw(name, num_clips=20)])
  counts = maps.sum(-1)
  num_shown = counts[0]
  slots = Slots.ANY
  if (maps == maps[:, :, :1]).all():
    slots = Slots.TUBE
  elif (counts == counts[:, :1, :1]).all():
    slots = Slots.EVEN
  elif np.isin(num_shown, [0, num_shown.max()]).all():
    slots = Slots.EVEN_WHERE_SHOWN
  assert MASKS.get(name).layout.slots == slots


@pytest.mark.parametrize('name', CASES)
@pytest.mark.parametrize('ratio', [0.0, 1.0, -0.5, 1.5])
def test_a_ratio_without_visible_or_hidden_tokens_is_refused(name, ratio):
  if name == 'clusters' and ratio == 0:
    assert _build(name, ratio=0.0).num_keep == 36
    return
  with pytest.raises(ValueError, match=f'Mask ratio {ratio} leaves'):
    _build(name, ratio=ratio)


# Masks and clips, masks and models.


def test_grids_are_those_of_target_frames_or_of_the_clip():
  assert _build('target').num_tokens == 36
  assert _build('random').num_tokens == 288


def test_no_config_is_no_mask():
  assert build_mask({}, NUM_FRAMES, (6, 6)) is None


def test_a_mask_without_the_frames_it_hides_is_refused():
  with pytest.raises(ValueError, match=r"'target' hides target frames.*only v"):
    build_mask({'name': 'target'}, {'video': 16}, (6, 6))


def test_a_mask_of_clips_beside_target_frames_is_refused():
  with pytest.raises(ValueError, match="'tube' hides tokens of the clip, but"):
    build_mask({'name': 'tube'}, NUM_FRAMES, (6, 6))


def test_an_unknown_mask_is_answered_with_near_names():
  with pytest.raises(ValueError, match="Did you mean 'tube'"):
    build_mask({'name': 'tubes'}, {'video': 16}, (6, 6))


# What a model may need, and the masks that give it.
EVEN = {'block', 'frame_difference', 'motion_guided', 'per_frame', 'tube'}
EVEN_WHERE_SHOWN = {*EVEN, 'running_cell', 'space_time'}
FITTING = {
  MaskLayout(hides='target'): {'target'},
  MaskLayout(): {*EVEN_WHERE_SHOWN, 'random'},
  MaskLayout(slots=Slots.EVEN): EVEN,
  MaskLayout(slots=Slots.EVEN_WHERE_SHOWN): EVEN_WHERE_SHOWN,
  MaskLayout(in_steps=True): {'clusters'},
  MaskLayout(slots=Slots.TUBE): {'block', 'tube'},
}


@pytest.mark.parametrize('name', CASES)
@pytest.mark.parametrize('need', FITTING, ids=str)
def test_a_model_refuses_masks_it_cannot_take(name, need):
  if name in FITTING[need]:
    check_mask({'name': name}, need, 'A model')
  else:
    others = ', '.join(sorted(FITTING[need]))
    why = f'A model needs a mask that {need}; data.mask.name={name!r} does not'
    with pytest.raises(ValueError, match=rf'{why}. Use one of: {others}\.'):
      check_mask({'name': name}, need, 'A model')


def test_a_model_that_needs_a_mask_says_so():
  with pytest.raises(ValueError, match=r'needs .* data\.mask is empty\. Use'):
    check_mask({}, MaskLayout(), 'A model')


def test_a_model_that_takes_no_mask_says_so():
  check_mask(None, None, 'A classifier')
  with pytest.raises(ValueError, match=r"'tube' would hide .*mask to \{\}"):
    check_mask({'name': 'tube'}, None, 'A classifier')
