"""Renders splits of moving sprites into a cache of .mp4 files, once.

    CACHE/moving_sprites/32px_16f_0f3a9c21/config.json
        train/00000.mp4         the video
        train/00000.npz         its ground truth, see `load_truth`
        train/labels.csv        path,label,split of a trimmed split
        train/annotations.json  times of all motions of an untrimmed split

Video i of a split depends on the configuration and on i alone: a split can be
rendered by any number of processes, interrupted, resumed and made longer.
"""

import dataclasses
import hashlib
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import av
import numpy as np

from rvmae_jax.data.encoding import repeatable_x264
from rvmae_jax.data.processes import end_with_parent
from rvmae_jax.data.sprites import motions
from rvmae_jax.data.sprites import render as rendering
from rvmae_jax.data.writing import write_whole

RENDERER_VERSION = 2  # Raise it whenever the same config draws other pixels.
CAMERAS = ('still', 'pan')
SPLITS = ('train', 'val', 'test', 'probe_train', 'probe_test')
_FEW_VIDEOS = 64  # Not worth the start of other processes.


@dataclasses.dataclass(frozen=True)
class SpritesConfig:
  """What is drawn; every field changes the cache folder.

  Attributes:
    size: H and W of a frame, in pixels.
    num_frames: T of a trimmed video.
    num_sprites: moving sprites; all show the video's motion, each at a speed
      and place of its own, later ones in front.
    background: 'plain' or 'busy'.
    num_occluders: still sprites in front of the moving ones.
    camera: 'still', or 'pan': all that is seen, background and occluders too,
      shifts at a constant speed in a direction that differs by video.
    num_segments: 0 for trimmed videos with one motion; else an untrimmed video
      chains that many, each `num_frames` to 2 `num_frames` long, with still
      stretches between them.
    fps: frames a second.
    seed: of everything.
  """

  size: int = 32
  num_frames: int = 16
  num_sprites: int = 1
  background: str = 'plain'
  num_occluders: int = 0
  camera: str = 'still'
  num_segments: int = 0
  fps: int = 16
  seed: int = 0

  def __post_init__(self):
    if self.size < 8 or self.size % 2:
      raise ValueError(f'size={self.size}: sprites need an even size >= 8.')
    for name in ('num_frames', 'num_sprites', 'fps'):
      if getattr(self, name) < 1:
        raise ValueError(f'{name}={getattr(self, name)}: it must be positive.')
    if self.background not in rendering.BACKGROUNDS:
      raise ValueError(
        f'Unknown background {self.background!r}. Known: '
        f'{", ".join(rendering.BACKGROUNDS)}.'
      )

    if self.camera not in CAMERAS:
      raise ValueError(
        f'Unknown camera {self.camera!r}. Known: {", ".join(CAMERAS)}.'
      )

  def folder(self, cache_dir: str = '') -> pathlib.Path:
    """Where these videos are kept.

    Args:
      cache_dir: root of the cache; '' means $RVMAE_CACHE, or else
        ~/.cache/rvmae_jax.
    """
    root = cache_dir or os.environ.get('RVMAE_CACHE') or '~/.cache/rvmae_jax'
    known = {'renderer_version': RENDERER_VERSION, **dataclasses.asdict(self)}
    if self.camera == 'still':
      del known['camera']  # Videos that were rendered without one are the same.
    key = hashlib.sha256(json.dumps(known, sort_keys=True).encode())
    name = f'{self.size}px_{self.num_frames}f_{key.hexdigest()[:8]}'
    return pathlib.Path(root).expanduser() / 'moving_sprites' / name


def draw_scene(
  config: SpritesConfig, split: str, index: int
) -> list[tuple[str, int]]:
  """The motions of video `index` in order: (name, number of frames)."""
  if not config.num_segments:
    # In turn, so that any first n videos are balanced.
    motion = motions.MOTIONS[index % len(motions.MOTIONS)]
    return [(motion, config.num_frames)]
  rng = stream(config, split, index, 'scene')
  length = config.num_frames
  scene = []
  for _ in range(config.num_segments):
    still, moving = rng.integers((length // 4, length), (length, 2 * length))
    scene += [(motions.STILL, still + 1), (rng.choice(motions.MOTIONS), moving)]
  return [*scene, (motions.STILL, length // 4 + 1)]


def scene_segments(scene: Sequence[tuple[str, int]]) -> np.ndarray:
  """[n, 3] int32 of a scene: first frame, one past the last, label."""
  ends = np.cumsum([length for _, length in scene])
  segments = [
    (end - length, end, motions.MOTIONS.index(motion))
    for end, (motion, length) in zip(ends, scene)
    if motion != motions.STILL
  ]
  return np.array(segments, np.int32)


def make_video(
  config: SpritesConfig, split: str, index: int
) -> rendering.Rendered:
  """Draws video `index` of a split, with its ground truth."""
  # What a sprite looks like cannot depend on how it moves.
  appearance = stream(config, split, index, 'appearance')
  movement = stream(config, split, index, 'movement')
  scene = draw_scene(config, split, index)
  still = [(motions.STILL, sum(length for _, length in scene))]
  poses = [motions.chain(scene, movement) for _ in range(config.num_sprites)]
  poses += [motions.chain(still, movement) for _ in range(config.num_occluders)]
  camera = None
  if config.camera == 'pan':
    num_frames = sum(length for _, length in scene)
    camera = motions.pan(num_frames, stream(config, split, index, 'camera'))
  background = rendering.draw_background(
    appearance, config.size, config.background, is_seamless=camera is not None
  )
  sprites = [rendering.draw_sprite(appearance, config.size) for _ in poses]
  return rendering.render(
    background, sprites, np.stack(poses, axis=1), config.num_occluders, camera
  )


def stream(
  config: SpritesConfig, split: str, index: int, purpose: str
) -> np.random.Generator:
  """Random numbers of their own for each video and purpose."""
  words = f'{config.seed}/{split}/{index}/{purpose}'.encode()
  return np.random.default_rng(list(hashlib.sha256(words).digest()))


def load_truth(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """The ground truth beside a video.

  Args:
    path: of the .mp4 file.

  Returns:
    The arrays of `render.Rendered` less the frames (masks, boxes, keypoints,
    visible, poses), and `segments` [n, 3]: first frame, one past the last, and
    label.
  """
  with np.load(pathlib.Path(path).with_suffix('.npz')) as arrays:
    return dict(arrays)


def render_split(
  config: SpritesConfig,
  split: str,
  num_videos: int,
  cache_dir: str = '',
  num_workers: int = 0,
) -> list[pathlib.Path]:
  """Renders the videos of a split that the cache lacks.

  Args:
    config: what to draw.
    split: one of `SPLITS`; no two share a texture.
    num_videos: the first `num_videos` of the split.
    cache_dir: see `SpritesConfig.folder`.
    num_workers: processes; 0 means one for each CPU core.

  Returns:
    The paths of the videos, in order.

  Raises:
    ValueError: an unknown split.
    RuntimeError: a process failed; the message holds its output.
  """
  if split not in SPLITS:
    raise ValueError(f'Unknown split {split!r}. Known: {", ".join(SPLITS)}.')
  folder = config.folder(cache_dir) / split
  folder.mkdir(parents=True, exist_ok=True)
  about = folder.parent / 'config.json'
  if not about.exists():  # A cache that is complete may be read-only.
    write_whole(about, _json_bytes(dataclasses.asdict(config)))
  paths = [folder / f'{i:05d}.mp4' for i in range(num_videos)]
  missing = _missing(paths)
  num_workers = num_workers or os.cpu_count() or 1
  if len(missing) < _FEW_VIDEOS or num_workers == 1:
    _render_videos(config, missing)
  else:
    _render_in_processes(config, missing, num_workers)
  name, make = (
    ('annotations.json', _annotations)
    if config.num_segments
    else ('labels.csv', _labels)
  )
  if missing or not (folder / name).exists():
    write_whole(folder / name, make(config, paths))
  return paths


def encode_mp4(frames: np.ndarray, fps: int) -> bytes:
  """H.264 at near-lossless quality, without chroma subsampling.

  Args:
    frames: [T, H, W, 3] uint8 RGB.
    fps: frames a second.
  """
  file = io.BytesIO()
  with av.open(file, 'w', format='mp4') as container:
    stream = container.add_stream('libx264', rate=fps)
    stream.height, stream.width = frames.shape[1:3]
    stream.pix_fmt = 'yuv444p'
    stream.options = {
      'crf': '2',
      'preset': 'veryfast',
      'bf': '0',
      'g': '16',
      'threads': '1',
      **repeatable_x264(),
    }
    for frame in frames:
      image = av.VideoFrame.from_ndarray(frame, format='rgb24')
      container.mux(stream.encode(image))
    container.mux(stream.encode())
  return file.getvalue()


def _render_videos(config, paths):
  for path in paths:
    split, index = path.parent.name, int(path.stem)
    video = make_video(config, split, index)._asdict()
    frames = video.pop('frames')
    segments = scene_segments(draw_scene(config, split, index))
    truth = io.BytesIO()
    np.savez_compressed(truth, **video, segments=segments)
    # The video last: where it is, its ground truth is too.
    write_whole(path.with_suffix('.npz'), truth.getvalue())
    write_whole(path, encode_mp4(frames, config.fps))


def _render_in_processes(config, paths, num_workers):
  """Shares the work out to fresh interpreters, and reports progress."""
  # Not multiprocessing: its children would import the caller's main module,
  # with jax and all else that a training script holds.
  environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}
  command = [sys.executable, '-m', 'rvmae_jax.data.sprites.dataset']
  workers = []
  try:
    with tempfile.TemporaryDirectory() as folder:
      for i in range(num_workers):
        job = pathlib.Path(folder, f'{i}.json')
        share = [str(path) for path in paths[i::num_workers]]
        job.write_text(
          json.dumps([dataclasses.asdict(config), share, os.getpid()])
        )
        workers.append(subprocess.Popen([*command, job], env=environment))
      _watch(workers, paths)
  finally:
    for worker in workers:
      worker.kill()
      worker.wait()


def _watch(workers, paths):
  """Prints progress until all workers have ended."""
  name = '/'.join(paths[0].parts[-4:-1])
  began = shown = time.monotonic()
  while any(worker.poll() is None for worker in workers):
    time.sleep(0.1)
    now = time.monotonic()
    if now - shown > 5:
      shown, left = now, len(_missing(paths))
      done = len(paths) - left
      wait = f'{(now - began) / done * left:.0f} s left' if done else 'starting'
      print(
        f'{name}: {done} of {len(paths)} videos rendered, {wait}',
        file=sys.stderr,
        flush=True,
      )
  codes = [worker.returncode for worker in workers]
  if any(codes):
    raise RuntimeError(
      f'Rendering {paths[0].parent} failed: its processes ended with codes '
      f'{codes}; their messages are above. What is rendered stays; the same '
      'call resumes there.'
    )


def _missing(paths):
  """Those of one folder's `paths` that do not exist, by listing it once."""
  there = set(os.listdir(paths[0].parent)) if paths else ()
  return [path for path in paths if path.name not in there]


def _labels(config, paths):
  """A CSV that the `listing` source reads."""
  rows = ['path,label,split']
  for path in paths:
    split = path.parent.name
    [(motion, _)] = draw_scene(config, split, int(path.stem))
    rows.append(f'{path.name},{motion},{split}')
  return '\n'.join([*rows, '']).encode()


def _annotations(config, paths):
  """JSON in the manner of ActivityNet, with exact frames beside the seconds."""
  database = {}
  for path in paths:
    split = path.parent.name
    scene = draw_scene(config, split, int(path.stem))
    num_frames = int(sum(length for _, length in scene))
    database[path.stem] = {
      'subset': split,
      'duration': num_frames / config.fps,
      'fps': config.fps,
      'frames': num_frames,
      'annotations': [
        {
          'segment': [first / config.fps, end / config.fps],
          'frames': [first, end],
          'label': motions.MOTIONS[label],
        }
        for first, end, label in scene_segments(scene).tolist()
      ],
    }
  return _json_bytes({'version': 'moving_sprites', 'database': database})


def _json_bytes(value):
  return json.dumps(value, indent=1).encode()


def main():
  """One worker process: renders the job in the file that it is given."""
  job = pathlib.Path(sys.argv[1]).read_text()
  config, paths, parent = json.loads(job)
  end_with_parent(parent)
  _render_videos(SpritesConfig(**config), [pathlib.Path(p) for p in paths])


if __name__ == '__main__':
  main()
