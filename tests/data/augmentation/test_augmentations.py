"""What every augmentation of a clip keeps to."""

import cloudpickle
import numpy as np
import pytest

from rvmae_jax.data.augmentation import (
  AUGMENTATIONS,
  CROPS,
  make_augmentation,
)

# Every augmentation changes every clip.
ALWAYS = {name: {'probability': 1.0} for name in AUGMENTATIONS.names()}
CASES = [
  *[({'size': (24, 32), 'name': name}, {}) for name in CROPS.names()],
  *[({'size': (24, 32)}, {name: ALWAYS[name]}) for name in ALWAYS],
  ({'size': (24, 32)}, ALWAYS),
]


def _frames(num_frames=4, seed=0):
  """A smooth coloured picture, the same in all frames."""
  rng = np.random.default_rng(seed)
  corners = rng.integers(0, 256, (1, 3, 4, 3), np.uint8)
  picture = np.kron(corners, np.ones((1, 15, 15, 1), np.uint8))
  picture = np.clip(picture + rng.normal(0, 8, picture.shape), 0, 255)
  return np.repeat(picture.astype(np.uint8), num_frames, axis=0)


@pytest.mark.parametrize(
  ('crop', 'augment'), CASES, ids=lambda case: '-'.join(map(str, case))
)
class TestEveryAugmentation:
  def test_all_frames_of_a_clip_are_treated_alike(self, crop, augment):
    augmentation = make_augmentation(crop, augment, train=True)
    rng = np.random.default_rng(0)
    for _ in range(20):
      frames, _ = augmentation(_frames(), rng)
      assert (frames.shape, frames.dtype) == ((4, 24, 32, 3), np.uint8)
      np.testing.assert_array_equal(frames, np.repeat(frames[:1], 4, axis=0))

  def test_a_seed_repeats_it_and_clips_differ(self, crop, augment):
    augmentation = make_augmentation(crop, augment, train=True)
    copy = cloudpickle.loads(cloudpickle.dumps(augmentation))

    def draw(augment, seed):
      return augment(_frames(), np.random.default_rng(seed))[0].tobytes()

    clips = [draw(augmentation, seed) for seed in range(8)]
    assert clips == [draw(copy, seed) for seed in range(8)]
    assert len(set(clips)) > 6

  def test_input_frames_stay_as_they_are(self, crop, augment):
    augmentation = make_augmentation(crop, augment, train=True)
    frames = _frames()
    frames.setflags(write=False)
    for seed in range(5):
      augmentation(frames, np.random.default_rng(seed))

  def test_evaluation_only_cuts_the_centre(self, crop, augment):
    augmentation = make_augmentation(crop, augment, train=False)
    plain = make_augmentation({'size': (24, 32)}, {}, train=False)
    frames, drawn = augmentation(_frames(), np.random.default_rng(0))
    expected, _ = plain(_frames(), np.random.default_rng(1))
    np.testing.assert_array_equal(frames, expected)
    assert (drawn.box, drawn.flip) == ((0, 0, 60, 45), False)


@pytest.mark.parametrize('name', ALWAYS)
def test_probability_zero_changes_nothing(name):
  change = AUGMENTATIONS.build({'name': name, 'probability': 0.0})
  frames = _frames()
  rng = np.random.default_rng(0)
  assert all(change(frames, rng) is frames for _ in range(10))


@pytest.mark.parametrize('name', sorted(set(ALWAYS) - {'rand_augment'}))
def test_probability_is_the_share_of_changed_clips(name):
  change = AUGMENTATIONS.build({'name': name, 'probability': 0.3})
  frames = _frames(num_frames=1)
  rng = np.random.default_rng(0)
  num_changed = sum(change(frames, rng) is not frames for _ in range(400))
  assert abs(num_changed - 120) < 37  # four standard deviations


@pytest.mark.parametrize('probability', [-0.1, 1.1])
@pytest.mark.parametrize('name', ALWAYS)
def test_a_probability_must_be_one(name, probability):
  with pytest.raises(ValueError, match=f'{name}: probability={probability}'):
    AUGMENTATIONS.build({'name': name, 'probability': probability})


def test_the_order_is_that_of_the_table_not_of_the_config():
  augment = {'solarise': {}, 'blur': {}, 'erase': {}, 'colour_jitter': {}}
  changes = make_augmentation({'size': (8, 8)}, augment, train=True).changes
  names = [type(change).__name__ for change in changes]
  assert names == ['ColourJitter', 'Blur', 'Solarise', 'Erase']


@pytest.mark.parametrize('train', [True, False])
@pytest.mark.parametrize(
  ('crop', 'augment', 'message'),
  [
    ({'name': 'multiscale'}, {}, "'multiscale'. Did you mean 'multi_scale'"),
    ({'rato': (1, 1)}, {}, "'rato' .* Did you mean 'ratio'"),
    ({}, {'blurr': {}}, "augmentation 'blurr'. Did you mean 'blur'"),
    ({}, {'grey': {'p': 1}}, "'grey' takes no argument 'p'"),
  ],
)
def test_typos_are_answered_with_what_was_meant(crop, augment, message, train):
  with pytest.raises(ValueError, match=message):
    make_augmentation({'size': (8, 8), **crop}, augment, train=train)
