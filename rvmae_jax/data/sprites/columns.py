"""What a video of sprites is like: columns that results can be split by."""

from rvmae_jax.data.sprites import dataset, motions

_THIRDS = {
  'size': ('small', 'medium', 'large'),
  'pace': ('slow', 'medium', 'fast'),
}


def describe(
  config: dataset.SpritesConfig, split: str, index: int
) -> dict[str, str]:
  """What the first sprite of a trimmed video is like, in thirds.

  Returns:
    `size` ('small', 'medium', 'large'), by the mean half size, and `pace`
    ('slow', 'medium', 'fast') among motions of its kind.
  """
  [(motion, num_frames)] = dataset.draw_scene(config, split, index)
  # As `make_video` draws them: the start pose, then the rates.
  first, again = (
    dataset.stream(config, split, index, 'movement') for _ in range(2)
  )
  poses = motions.chain([(motion, num_frames)], first)
  motions.draw_pose(again)
  low, high = motions.HALF_SIZE
  shares = {
    'size': (poses[:, 3].mean() - low) / (high - low),
    'pace': motions.relative_pace(motion, motions.draw_rates(again)),
  }
  return {
    name: _THIRDS[name][min(int(3 * share), 2)]
    for name, share in shares.items()
  }
