"""Facts and faults of videos are found and told apart."""

import csv
import shutil
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from rvmae_jax.data.sprites import dataset
from rvmae_jax.tools.checks import videos as video_checks
from tests.data import small_videos

CONFIG = dataset.SpritesConfig(num_frames=12, fps=10)


def _write(path, index=0, config=CONFIG):
  path.parent.mkdir(parents=True, exist_ok=True)
  frames = dataset.make_video(config, 'train', index).frames
  path.write_bytes(dataset.encode_mp4(frames, config.fps))


def _kinds(report):
  return {(problem.kind, problem.paths) for problem in report.problems}


def _compare_with_facts(shared_dir, below):
  """Checks a folder of the shared videos against its table of facts."""
  with open(shared_dir / 'data' / 'facts.csv') as file:
    facts = {
      row['path'].removeprefix(f'{below}/'): row
      for row in csv.DictReader(file)
      if row['path'].startswith(f'{below}/')
    }
  report = video_checks.check_videos(str(shared_dir / 'data' / below))
  videos = {video.path: video for video in report.videos}
  for path, fact in facts.items():
    video = videos[path]
    kinds = {kind for kind, paths in _kinds(report) if path in paths}
    if fact['error'] == 'UnicodeDecodeError':
      assert 'metadata' in kinds and video.num_frames > 0
    elif fact['error']:
      assert 'unreadable' in kinds and not video.num_frames
    else:
      assert 'unreadable' not in kinds
      for key in ('container', 'codec', 'pixel_format'):
        assert getattr(video, key) == fact[key], path
      for key in ('width', 'height', 'rotation_degrees'):
        assert getattr(video, key) == int(fact[key]), path
      assert video.fps == pytest.approx(float(fact['fps']))
      num_frames = int(fact['decoded_frames'])
      if 'truncated' in kinds:
        # The facts leave out two whole frames that a decoder still holds back
        # when it meets the end of the file.
        num_frames += 2
      assert video.num_frames == num_frames, path
  return report


def test_edge_cases(shared_dir):
  report = _compare_with_facts(shared_dir, 'edge_cases')
  clip = 'trikonasana_20250127135303_'
  kinds = _kinds(report)
  notes = ('near-duplicate', 'pixel aspect')
  assert {kind for kind in kinds if kind[0] not in notes} == {
    ('unreadable', ('text_as_video.mp4',)),
    ('unreadable', ('zero_bytes.mp4',)),
    ('unreadable', (f'{clip}audio_only.mp4',)),
    ('unreadable', (f'{clip}truncated_97pct.mp4',)),
    ('unreadable', (f'{clip}truncated_half.mp4',)),
    ('short', (f'{clip}1frame.mp4',)),
    ('short', (f'{clip}7frames.mp4',)),
    ('damaged', (f'{clip}bitflips.mp4',)),
    ('truncated', (f'{clip}faststart_truncated60.mp4',)),
    ('slow', (f'{clip}faststart_truncated60.mp4',)),
  }
  assert ('pixel aspect', ('vfr_demo.mp4',)) in kinds
  assert ('near-duplicate', ('long_loop.mp4', 'xvid.avi')) in kinds
  assert [v.path for v in report.videos if v.variable_rate] == ['vfr_demo.mp4']
  reasons = {problem.paths[0]: problem.reason for problem in report.problems}
  assert 'empty' in reasons['zero_bytes.mp4']
  assert 'no video stream' in reasons[f'{clip}audio_only.mp4']


def test_odd_formats(shared_dir):
  _compare_with_facts(shared_dir, 'clips_misc/torchcodec')


@pytest.mark.slow
@pytest.mark.parametrize(
  'below',
  ['clips_misc', 'mirror_mouse_kpts', 'temporal_composed', 'wlasl15', 'yoga6'],
)
def test_all_shared_videos(shared_dir, below):
  report = _compare_with_facts(shared_dir, below)
  assert {problem.kind for problem in report.problems} <= {
    *('short', 'small', 'metadata', 'near-duplicate', 'slow', 'pixel aspect')
  }


def test_sound_video_is_described_and_has_no_problem(tmp_path):
  _write(tmp_path / 'a.mp4')
  report = video_checks.check_videos(str(tmp_path))
  assert report.problems == []
  [video] = report.videos
  assert (video.codec, video.pixel_format) == ('h264', 'yuv444p')
  assert (video.width, video.height, video.num_frames) == (32, 32, 12)
  assert (video.fps, video.duration_s) == (10, pytest.approx(1.2))
  assert video.size_bytes == (tmp_path / 'a.mp4').stat().st_size
  assert not video.variable_rate


def test_folder_of_images_is_a_video(tmp_path):
  (tmp_path / 'clip').mkdir()
  frames = dataset.make_video(CONFIG, 'train', 0).frames
  for i, frame in enumerate(frames):
    Image.fromarray(frame).save(tmp_path / 'clip' / f'{i:02d}.png')
  report = video_checks.check_videos(str(tmp_path))
  [video] = report.videos
  assert (video.container, video.num_frames, video.width) == ('images', 12, 32)
  assert report.problems == []

  Image.fromarray(frames[0, :20]).save(tmp_path / 'clip' / '99.png')
  report = video_checks.check_videos(str(tmp_path))
  assert _kinds(report) == {('size changes', ('clip',))}


def test_copies_across_split_folders_are_leakage(tmp_path):
  _write(tmp_path / 'train' / 'a.mp4')
  _write(tmp_path / 'train' / 'b.mp4', index=1)
  shutil.copy(tmp_path / 'train' / 'a.mp4', tmp_path / 'test.mp4')
  shutil.copy(tmp_path / 'train' / 'a.mp4', tmp_path / 'train' / 'c.mp4')
  report = video_checks.check_videos(str(tmp_path))
  copies = ('test.mp4', 'train/a.mp4', 'train/c.mp4')
  assert _kinds(report) == {('duplicate', copies)}

  (tmp_path / 'test').mkdir()
  (tmp_path / 'test.mp4').rename(tmp_path / 'test' / 'a.mp4')
  [problem] = video_checks.check_videos(str(tmp_path)).problems
  assert problem.kind == 'leakage'
  assert problem.paths == ('test/a.mp4', 'train/a.mp4', 'train/c.mp4')
  assert 'test and train' in problem.reason and not problem.is_note

  (tmp_path / 'test').rename(tmp_path / 'Testing')
  [problem] = video_checks.check_videos(str(tmp_path)).problems
  assert 'test and train' in problem.reason


def test_splits_of_folders_stay_where_a_list_has_none(tmp_path):
  _write(tmp_path / 'train' / 'a.mp4')
  (tmp_path / 'test').mkdir()
  shutil.copy(tmp_path / 'train' / 'a.mp4', tmp_path / 'test' / 'b.mp4')
  listing = tmp_path / 'labels.csv'
  listing.write_text('path,label\ntrain/a.mp4,run\ntest/b.mp4,run\n')
  report = video_checks.check_videos(str(tmp_path), str(listing))
  assert _kinds(report) == {('leakage', ('test/b.mp4', 'train/a.mp4'))}


def test_what_cannot_be_opened_is_no_copy_and_no_crash(tmp_path):
  _write(tmp_path / 'train' / 'a.mp4')
  for name in ('train/empty.mp4', 'test/empty.mp4'):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
  (tmp_path / 'train/gone.mp4').symlink_to(tmp_path / 'nowhere.mp4')
  kinds = _kinds(video_checks.check_videos(str(tmp_path)))
  assert kinds == {
    ('unreadable', (name,))
    for name in ('test/empty.mp4', 'train/empty.mp4', 'train/gone.mp4')
  }


def test_encoded_anew_across_splits_of_a_listing_is_leakage(tmp_path):
  _write(tmp_path / 'a.mp4')
  frames = dataset.make_video(CONFIG, 'train', 0).frames
  half = np.stack([Image.fromarray(frame).reduce(2) for frame in frames])
  (tmp_path / 'b.mp4').write_bytes(dataset.encode_mp4(half, 10))
  [problem] = video_checks.check_videos(str(tmp_path)).problems
  assert problem.kind == 'near-duplicate' and problem.is_note

  listing = tmp_path / 'labels.csv'
  listing.write_text('path,split\na.mp4,train\nb.mp4,val\nc.mp4,val\n')
  report = video_checks.check_videos(str(tmp_path), str(listing))
  assert _kinds(report) == {
    ('leakage', ('a.mp4', 'b.mp4')),
    ('missing', ('c.mp4',)),
  }
  assert [video.split for video in report.videos] == ['train', 'val']


def test_quick_reads_the_same_facts(tmp_path):
  _write(tmp_path / 'a.mp4')
  (tmp_path / 'b.mp4').write_text('no video')
  assert video_checks.check_videos(
    str(tmp_path), quick=True
  ) == video_checks.check_videos(str(tmp_path))


def test_every_kind_has_a_remedy():
  for kind in video_checks.NOTES:
    assert video_checks.Problem(kind, (), '').remedy


def test_what_is_read_slowly_or_stretched_is_noted(tmp_path):
  small_videos.write(tmp_path / 'fine.mp4', 'mjpeg', 'yuvj420p')
  small_videos.write(
    tmp_path / 'slow.avi',
    *('mpeg4', 'yuv420p', {'g': '12', 'bf': '2'}),
    numbers=range(8, 40),
    sample_aspect_ratio=Fraction(4, 3),
  )
  report = video_checks.check_videos(str(tmp_path))
  reasons = {p.kind: (p.paths, p.reason) for p in report.problems}
  assert set(reasons) == {'slow', 'pixel aspect'}
  assert reasons['slow'][0] == ('slow.avi',)
  assert 'do not give the order in which frames' in reasons['slow'][1]
  assert reasons['pixel aspect'][1].endswith('players show 85 x 64')
  assert all(problem.is_note for problem in report.problems)


def test_a_head_that_was_cut_off_is_no_damage(tmp_path):
  whole = small_videos.write(
    tmp_path / 'a.ts', 'mpeg2video', 'yuv420p', {'g': '12', 'bf': '2'}
  )
  small_videos.remux(whole, tmp_path / 'b.ts', lambda packets: packets[20:])
  whole.unlink()
  report = video_checks.check_videos(str(tmp_path))
  assert not report.problems
  assert report.videos[0].num_frames == small_videos.NUM_FRAMES - 24
