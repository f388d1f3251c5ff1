"""Splits are rendered once, the same by any route, and are what they claim."""

import csv
import hashlib
import json
import subprocess
import sys

import av
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from rvmae_jax.data.sprites import dataset, motions

TINY = dataset.SpritesConfig(size=16, num_frames=4)


def _decode(path):
  with av.open(str(path)) as container:
    frames = container.decode(video=0)
    return np.stack([frame.to_ndarray(format='rgb24') for frame in frames])


def _hashes(paths):
  """Content of videos and their ground truth, by name."""
  files = [p for path in paths for p in (path, path.with_suffix('.npz'))]
  return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


@pytest.mark.parametrize('size, busy', [(32, False), (64, True)])
def test_video_comes_back_above_40_db_and_complete(tmp_path, size, busy):
  config = dataset.SpritesConfig(
    size=size, num_frames=20, background='busy' if busy else 'plain'
  )
  for i, path in enumerate(dataset.render_split(config, 'val', 6, tmp_path)):
    drawn = dataset.make_video(config, 'val', i).frames
    decoded = _decode(path)
    assert decoded.shape == drawn.shape
    error = np.mean((decoded.astype(float) - drawn) ** 2)
    assert 10 * np.log10(255**2 / error) > 40


def test_file_has_the_stated_rate_and_length(tmp_path):
  config = dataset.SpritesConfig(size=16, num_frames=6, fps=12)
  [path] = dataset.render_split(config, 'test', 1, tmp_path)
  with av.open(str(path)) as container:
    stream = container.streams.video[0]
    times = [frame.time for frame in container.decode(stream)]
    assert stream.average_rate == 12 and stream.frames == 6
  np.testing.assert_allclose(times, np.arange(6) / 12, atol=1e-4)


def test_ground_truth_is_kept_beside_the_video(tmp_path):
  [path] = dataset.render_split(TINY, 'train', 1, tmp_path)
  drawn = dataset.make_video(TINY, 'train', 0)._asdict()
  truth = dataset.load_truth(path)
  np.testing.assert_array_equal(truth.pop('segments'), [[0, 4, 0]])
  assert truth.keys() == drawn.keys() - {'frames'}
  for key, value in truth.items():
    np.testing.assert_array_equal(value, drawn[key])


def test_interrupted_and_extended_equals_rendered_at_once(tmp_path):
  at_once = dataset.render_split(TINY, 'train', 6, tmp_path / 'a')
  paths = dataset.render_split(TINY, 'train', 4, tmp_path / 'b')
  paths[1].unlink()  # As if the process had been killed before it.
  kept = paths[0].stat().st_mtime_ns
  paths = dataset.render_split(TINY, 'train', 6, tmp_path / 'b')
  assert _hashes(paths) == _hashes(at_once)
  assert paths[0].stat().st_mtime_ns == kept


def test_a_complete_cache_is_only_read(tmp_path):
  paths = dataset.render_split(TINY, 'train', 2, tmp_path)
  files = [path for path in tmp_path.rglob('*') if path.is_file()]
  written = {path: path.stat().st_mtime_ns for path in files}
  assert dataset.render_split(TINY, 'train', 2, tmp_path) == paths
  assert {path: path.stat().st_mtime_ns for path in files} == written


def test_processes_render_what_one_renders(tmp_path):
  one = dataset.render_split(TINY, 'train', 70, tmp_path / 'a', num_workers=1)
  two = dataset.render_split(TINY, 'train', 70, tmp_path / 'b', num_workers=2)
  assert _hashes(one) == _hashes(two)
  assert not list((tmp_path / 'b').rglob('.*'))  # No partial files.


def test_failed_process_is_an_error(tmp_path, monkeypatch):
  monkeypatch.setattr(sys, 'executable', 'false')
  with pytest.raises(RuntimeError, match='resumes there'):
    dataset.render_split(TINY, 'train', 70, tmp_path, num_workers=2)


def test_worker_imports_neither_jax_nor_tensorflow():
  command = (
    'import sys, rvmae_jax.data.sprites.dataset;'
    'print({"jax", "tensorflow", "grain"} & set(sys.modules))'
  )
  out = subprocess.check_output([sys.executable, '-c', command], text=True)
  assert out.strip() == 'set()'


def test_config_and_seed_choose_the_folder(tmp_path, monkeypatch):
  folders = {
    config.folder('root')
    for config in (
      TINY,
      dataset.SpritesConfig(size=16, num_frames=4, seed=1),
      dataset.SpritesConfig(size=16, num_frames=4, num_sprites=2),
      dataset.SpritesConfig(size=16, num_frames=4, camera='pan'),
    )
  }
  assert len(folders) == 4
  monkeypatch.setenv('RVMAE_CACHE', str(tmp_path))
  assert TINY.folder().is_relative_to(tmp_path)
  assert TINY.folder().name in {folder.name for folder in folders}


def test_no_two_splits_or_seeds_share_a_texture():
  config = dataset.SpritesConfig(num_frames=1)
  other_seed = dataset.SpritesConfig(num_frames=1, seed=1)
  draws = [(config, split) for split in dataset.SPLITS] + [
    (other_seed, 'train')
  ]
  colours = []
  for config, split in draws:
    for i in range(12):
      video = dataset.make_video(config, split, i)
      frame, inside = video.frames[0], video.masks[0] == 1
      colours.append((frame[inside].mean(axis=0), frame[~inside].mean(axis=0)))
  colours = np.array(colours).reshape(len(draws) * 12, 6)
  apart = np.abs(colours[:, None] - colours).max(axis=-1)
  assert apart[~np.eye(len(colours), dtype=bool)].min() > 2


def test_one_frame_does_not_tell_the_motion():
  """A linear probe on raw pixels is within 3 standard errors of 1 / 12."""
  rng = np.random.default_rng(0)
  config = dataset.SpritesConfig(size=16, num_frames=4)

  def frames(split, num_videos):
    videos = (
      dataset.make_video(config, split, i).frames for i in range(num_videos)
    )
    pixels = np.stack([video[rng.integers(4)].ravel() for video in videos])
    return pixels / 255 - 0.5, np.arange(num_videos) % 12

  probe = LogisticRegression(C=0.01, max_iter=50)
  probe.fit(*frames('probe_train', 600))
  accuracy = probe.score(*frames('probe_test', 504))
  chance = 1 / 12
  assert abs(accuracy - chance) < 3 * np.sqrt(chance * (1 - chance) / 504)


def test_labels_are_balanced_and_listed(tmp_path):
  paths = dataset.render_split(TINY, 'train', 24, tmp_path)
  with open(paths[0].parent / 'labels.csv') as file:
    rows = list(csv.DictReader(file))
  assert [row['path'] for row in rows] == [path.name for path in paths]
  assert [row['label'] for row in rows] == 2 * list(motions.MOTIONS)
  assert {row['split'] for row in rows} == {'train'}


def test_untrimmed_video_moves_as_annotated(tmp_path):
  config = dataset.SpritesConfig(size=32, num_frames=8, num_segments=4)
  paths = dataset.render_split(config, 'test', 3, tmp_path)
  database = json.loads((paths[0].parent / 'annotations.json').read_text())
  for path in paths:
    entry = database['database'][path.stem]
    truth = dataset.load_truth(path)
    assert entry['frames'] == len(truth['masks']) == len(_decode(path))
    assert len(entry['annotations']) == 4
    moves = np.abs(np.diff(truth['poses'][:, 0], axis=0)).max(axis=-1) > 1e-3
    for annotation, segment in zip(entry['annotations'], truth['segments']):
      first, end = annotation['frames']
      assert [first, end] == segment[:2].tolist()
      assert annotation['label'] == motions.MOTIONS[segment[2]]
      assert annotation['segment'] == [first / 16, end / 16]
      assert moves[first:end].all()
      moves[first:end] = False
    assert not moves.any()  # Still in between.


def test_unknown_split_is_named(tmp_path):
  with pytest.raises(ValueError, match=r"'vall'.*val"):
    dataset.render_split(TINY, 'vall', 1, tmp_path)


@pytest.mark.parametrize(
  'wrong, message',
  [
    ({'size': 33}, 'size=33'),
    ({'num_sprites': 0}, 'num_sprites=0'),
    ({'background': 'bussy'}, "'bussy'.*plain, busy"),
    ({'camera': 'shaky'}, "'shaky'.*still, pan"),
  ],
)
def test_wrong_config_is_named(wrong, message):
  with pytest.raises(ValueError, match=message):
    dataset.SpritesConfig(**wrong)
