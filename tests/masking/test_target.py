import numpy as np

from rvmae_jax.masking.target import TargetMask


def test_frames_and_clips_draw_independently():
  mask = TargetMask(grid=(16, 16), ratio=0.95)
  rng = np.random.default_rng(0)
  clip = {'target': np.zeros((4, 2, 2, 3), np.uint8)}
  ids = np.stack([mask(clip, rng)['ids_keep'] for _ in range(500)])
  shown = np.zeros((500, 4, 256))
  np.put_along_axis(shown, ids, 1, axis=-1)
  # Two independent draws of 12 among 256 share 12 * 12 / 256 = 0.5625 tokens,
  # with standard deviation 0.72; 0.1 is more than 3 deviations of the mean.
  between_frames = (shown[:, 0] * shown[:, 1]).sum(-1)
  between_clips = (shown[1:, 0] * shown[:-1, 0]).sum(-1)
  assert abs(between_frames.mean() - 0.5625) < 0.1
  assert abs(between_clips.mean() - 0.5625) < 0.1
  # Every token is shown 12 / 256 of the time; deviation of a share: 0.0047.
  assert np.abs(shown.mean((0, 1)) - 12 / 256).max() < 0.025
