import numpy as np

from rvmae_jax.masking.frame_difference import FrameDifferenceMask

GRID = (8, 14, 14)


def _moving_square():
  """A textured square of 4x4 tokens of 8 pixels moves by a token a slot."""
  square = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
  video = np.full((16, 112, 112, 3), 100, np.uint8)
  for number, frame in enumerate(video):
    left = 8 + 4 * number
    frame[40:72, left : left + 32] = square
  return video


def _shown(video, seed):
  """bool [slots, rows, columns]: True at visible tokens."""
  mask = FrameDifferenceMask(GRID, ratio=0.9)
  clip = mask({'video': video}, np.random.default_rng(seed))
  shown = np.zeros(GRID, bool)
  shown.reshape(-1)[clip['ids_keep']] = True
  return shown


def test_the_visible_set_follows_what_moves():
  shares = []
  for seed in range(10):
    shown = _shown(_moving_square(), seed)
    assert (shown.sum((1, 2)) == 20).all()
    for slot in range(8):
      # 20 tokens: those that the square touches in the slot's two frames.
      touched = shown[slot, 5:9, 1 + slot : 6 + slot]
      shares.append(touched.mean())
  # Chance alone would show 10 %.
  assert np.mean(shares) > 0.7


def test_without_motion_it_is_a_random_tube():
  video = np.repeat(_moving_square()[:1], 16, axis=0)
  first, second = _shown(video, 0), _shown(video, 1)
  assert (first == first[:1]).all()
  assert (first != second).any()


def test_a_single_frame_is_enough():
  mask = FrameDifferenceMask((1, 4, 4), ratio=0.5)
  clip = mask({'video': np.zeros((1, 16, 16, 3))}, np.random.default_rng(0))
  assert clip['ids_keep'].shape == (8,)
