"""Untrimmed sprites: motions one after the other, their times known exactly."""

from rvmae_jax.data.localization import untrimmed
from rvmae_jax.data.sources.moving_sprites import MovingSprites


def sprites(
  subset: str = 'probe_train',
  num_videos: int = 96,
  num_segments: int = 6,
  **settings,
) -> untrimmed.LocalizationSet:
  """Rendered videos of several motions, with still stretches between them.

  Args:
    subset: a split of `MovingSprites`; no two share a texture.
    num_videos: the first so many.
    num_segments: motions in a video, each `num_frames` to twice that long.
    **settings: further arguments of `MovingSprites`, such as `num_frames`.
  """
  source = MovingSprites(
    split=subset, num_videos=num_videos, num_segments=num_segments, **settings
  )
  videos = []
  for index, path in enumerate(source.paths):
    segments = source.truth(index)['segments']
    videos.append(
      untrimmed.UntrimmedVideo(
        name=path.stem,
        parts=[str(path)],
        segments_s=segments[:, :2] / source.config.fps,
        labels=segments[:, 2],
      )
    )
  return untrimmed.LocalizationSet(videos, source.class_names)
