"""Copies are found in another size and quality; mere likeness is no copy."""

import numpy as np
from PIL import Image

from rvmae_jax.data.sprites import dataset
from rvmae_jax.tools.checks import duplicates


def _frames(index, size=96, split='train'):
  config = dataset.SpritesConfig(size=size, num_frames=8, background='busy')
  return dataset.make_video(config, split, index).frames


def _shrink(frames, size, seed=0):
  """A smaller copy with coding noise."""
  noise = np.random.default_rng(seed).normal(0, 4, (len(frames), size, size, 3))
  small = [Image.fromarray(frame).resize((size, size)) for frame in frames]
  return np.clip(np.stack(small) + noise, 0, 255).astype(np.uint8)


def test_signature_is_the_mean_grey_of_each_cell():
  frames = np.zeros((8, 16, 32, 3), np.uint8)
  frames[3, 2:4, 4:8] = 200  # The cell in row 1 and column 1.
  signature = duplicates.signature(frames)
  assert signature.shape == (8, 8, 8)
  assert signature[3, 1, 1] == 200 and signature.sum() == 200


def test_smaller_noisy_copies_are_found_among_many_videos():
  videos = [_frames(i) for i in range(12)]
  videos += [_shrink(videos[2], 40), _shrink(videos[7], 64), videos[2]]
  signatures = np.stack([duplicates.signature(video) for video in videos])
  assert duplicates.near_duplicates(signatures) == [[2, 12, 14], [7, 13]]


def test_same_scene_with_other_motion_is_no_copy():
  frames = _frames(0)
  signatures = [duplicates.signature(f) for f in (frames, frames[::-1])]
  assert duplicates.near_duplicates(np.stack(signatures)) == []


def test_still_videos_are_compared_by_their_picture():
  first, other = (np.repeat(_frames(i)[:1], 8, axis=0) for i in (0, 1))
  videos = [first, other, _shrink(first, 64)]
  signatures = np.stack([duplicates.signature(video) for video in videos])
  assert duplicates.near_duplicates(signatures) == [[0, 2]]


def test_equal_content_counts_and_not_size_or_name(tmp_path):
  for name, content in {
    'b.mp4': b'same',
    'a.mp4': b'same',
    'c.mp4': b'size',
    'd.mp4': b'other',
  }.items():
    (tmp_path / name).write_bytes(content)
  paths = [str(path) for path in tmp_path.iterdir()]
  assert duplicates.exact_duplicates(paths) == [
    [str(tmp_path / 'a.mp4'), str(tmp_path / 'b.mp4')]
  ]


def test_folders_of_images_can_be_duplicates(tmp_path):
  for folder in ('a', 'b'):
    (tmp_path / folder).mkdir()
    for i, frame in enumerate(_frames(0, size=8)[:2]):
      Image.fromarray(frame).save(tmp_path / folder / f'{i}.png')
  paths = [str(tmp_path / folder) for folder in ('a', 'b')]
  assert duplicates.exact_duplicates(paths) == [paths]
