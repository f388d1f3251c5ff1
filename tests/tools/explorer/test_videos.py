"""Which videos can be chosen, and their frames."""

import os
import pathlib

import numpy as np
import pytest

from rvmae_jax.data.decoding import VideoError
from rvmae_jax.tools.explorer import controls
from rvmae_jax.tools.explorer.videos import (
  check_video,
  known_videos,
  read_video,
)


def test_sprites_and_the_videos_of_a_folder_are_known(
  tmp_path, monkeypatch, write_images
):
  monkeypatch.setenv('RVMAE_CACHE', str(tmp_path / 'cache'))
  monkeypatch.setattr('rvmae_jax.tools.explorer.videos._NUM_OF_A_KIND', 1)
  folder = tmp_path / 'videos'
  (folder / 'wave').mkdir(parents=True)
  (folder / 'wave' / 'a.mp4').touch()
  pathlib.Path(os.fsdecode(bytes(folder) + b'/wave/b\xff.mp4')).touch()
  known = known_videos(str(folder))
  assert list(known) == [
    *('sprite 0', 'two sprites 0', 'wave/a.mp4'),
    'wave/b\\xff.mp4',  # A name that is not UTF-8.
  ]
  assert all(map(os.path.exists, list(known.values())[2:]))
  assert read_video(known['two sprites 0'], 64, 8, 3).shape == (3, 64, 64, 3)


def test_the_longer_edge_keeps_the_shape_of_the_frame(write_images):
  frames = np.stack([np.full((48, 80, 3), 9 * t, np.uint8) for t in range(6)])
  path = write_images(frames)
  # 80 * 32 / 48 = 53.3 pixels are 6.7 patches.
  video = read_video(path, 32, 8, num_frames=2, stride=3)
  assert video.shape == (2, 32, 56, 3)
  assert [frame.max() for frame in video] == [0, 27]
  # Patches do not tile 28 pixels; the nearest that they tile is 32.
  assert read_video(path, 29, 8, num_frames=2).shape == (2, 32, 48, 3)


def test_a_bad_upload_gets_its_reason_and_not_its_folder(tmp_path):
  (tmp_path / 'notes.mp4').write_text('no video')
  with pytest.raises(VideoError, match=r'^notes\.mp4: ') as caught:
    check_video(str(tmp_path / 'notes.mp4'))
  assert str(tmp_path) not in str(caught.value)


def test_what_was_uploaded_last_is_chosen(monkeypatch):
  """Also where a video of its name was there before."""
  gr = pytest.importorskip('gradio', reason='the page needs Gradio')
  monkeypatch.setattr(controls, 'check_video', os.path.basename)
  with gr.Blocks() as page:
    controls.choose_video({'sprite 0': 'sprites', 'c.mp4': '/videos/c.mp4'})
  [take] = [f.fn for f in page.fns.values() if f.name == 'take']
  uploads = {}
  for path in ('/1/a.mp4', '/2/b.mp4', '/3/a.mp4', '/4/c.mp4'):
    shown, uploads = take(path, uploads)
    assert shown['value'] == os.path.basename(path)
    assert uploads[shown['value']] == path
  assert shown['choices'] == ['sprite 0', 'c.mp4', 'a.mp4', 'b.mp4']
