"""The embedded default dataset: videos whose label is a sprite's motion."""

from collections.abc import Iterator

import numpy as np

from rvmae_jax.data.fingerprints import Identity
from rvmae_jax.data.sprites import columns, dataset, motions

_NUM_VIDEOS = {
  'train': 4000,
  'val': 504,
  'test': 504,
  'probe_train': 1500,
  'probe_test': 504,
}


class MovingSprites:
  """Rendered videos of moving sprites; renders them into a cache if needed.

  Record i has the `path` of an .mp4 file, its `label`, the motion, and as
  `columns` the sprite's `size` and `pace` in thirds. Untrimmed
  videos (`num_segments` > 0) hold many motions, so their label is -1; `truth`
  and `annotations.json` beside the videos say what happens when.

  Args:
    split: 'train', 'val', 'test', 'probe_train' or 'probe_test'; no two share a
      texture.
    num_videos: the first n of the split; 0 means the split's usual number.
    size: H and W of a frame, in pixels.
    num_frames: of a trimmed video.
    num_sprites: moving sprites in a video.
    background: 'plain' or 'busy'.
    num_occluders: still sprites in front.
    camera: 'still' or 'pan'.
    num_segments: motions of an untrimmed video; 0 means trimmed.
    fps: frames a second.
    seed: of everything.
    cache_dir: '' means $RVMAE_CACHE, or else ~/.cache/rvmae_jax.
    num_workers: rendering processes; 0 means one for each CPU core.

  Raises:
    ValueError: an unknown split or background, or sizes that cannot be.
  """

  def __init__(
    self,
    split: str = 'train',
    num_videos: int = 0,
    size: int = 32,
    num_frames: int = 16,
    num_sprites: int = 1,
    background: str = 'plain',
    num_occluders: int = 0,
    camera: str = 'still',
    num_segments: int = 0,
    fps: int = 16,
    seed: int = 0,
    cache_dir: str = '',
    num_workers: int = 0,
  ):
    self.class_names = list(motions.MOTIONS)
    self.config = dataset.SpritesConfig(
      size=size,
      num_frames=num_frames,
      num_sprites=num_sprites,
      background=background,
      num_occluders=num_occluders,
      camera=camera,
      num_segments=num_segments,
      fps=fps,
      seed=seed,
    )
    self.split = split
    self.paths = dataset.render_split(
      self.config,
      split,
      num_videos or _NUM_VIDEOS.get(split, 0),
      cache_dir=cache_dir,
      num_workers=num_workers,
    )

  def __len__(self) -> int:
    return len(self.paths)

  def __getitem__(self, index: int) -> dict:
    path = self.paths[index]
    record = {'path': str(path), 'label': -1}
    if not self.config.num_segments:
      place = self.config, self.split, int(path.stem)
      [(motion, _)] = dataset.draw_scene(*place)
      record['label'] = self.class_names.index(motion)
      record['columns'] = columns.describe(*place)
    return record

  def identities(self) -> Iterator[Identity]:
    """Names of what is drawn: its appearance depends on nothing else."""
    for path in self.paths:
      name = f'seed_{self.config.seed}/{self.split}/{path.stem}'
      yield Identity(f'moving_sprites/{name}')

  def truth(self, index: int) -> dict[str, np.ndarray]:
    """Masks, boxes, keypoints, poses and segments; see `load_truth`."""
    return dataset.load_truth(self.paths[index])
