"""Untrimmed sprites: the times are those of the frames."""

import av

from rvmae_jax.data.localization.sprites import sprites


def test_segments_are_those_of_the_rendered_frames(tmp_path):
  read = sprites(
    'val',
    num_videos=2,
    num_segments=2,
    num_frames=4,
    size=16,
    fps=8,
    cache_dir=str(tmp_path),
  )
  assert len(read.videos) == 2 and len(read.class_names) == 12
  for video in read.videos:
    assert len(video.labels) == 2
    with av.open(video.parts[0]) as container:
      num_frames = sum(1 for _ in container.decode(video=0))
    (first, _), (_, last) = segments = video.segments_s
    assert 0 < first < last < num_frames / 8
    # Each motion lasts for 4 to 8 frames.
    lengths = (segments[:, 1] - segments[:, 0]) * 8
    assert ((lengths >= 4) & (lengths <= 8)).all()
