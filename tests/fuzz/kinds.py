"""What is damaged, and by which door users read it.

A case is a folder of small files, made here from nothing, and a door: a
function that reads the folder as users do. `damaged` are those of its files
that are to be damaged; the others make it complete.
"""

import dataclasses
import io
import json
import pathlib
import tempfile
import zipfile
from collections.abc import Callable, Mapping

import av
import jax
import numpy as np
from PIL import Image

from rvmae_jax import config_utils, weights
from rvmae_jax.data import features, manifest
from rvmae_jax.data.decoding import VideoError, open_record
from rvmae_jax.data.encoding import Encoding
from rvmae_jax.data.sources import SOURCES
from rvmae_jax.data.sources.folder import VIDEO_SUFFIXES
from rvmae_jax.interop import (
  hugging_face,
  npz,
  rvm_released,
  safetensors,
  state_dict,
  torch_files,
)
from rvmae_jax.models import build_model
from rvmae_jax.parts import build_parts
from rvmae_jax.tools import prepare, report
from rvmae_jax.tools.checks import checkpoints
from rvmae_jax.tools.checks import videos as video_checks
from rvmae_jax.training.checkpointing import Checkpointer
from tests import tiny_recipe
from tests.fuzz.mutations import legacy_file
from tests.interop.sharded_files import write_sharded

# What is said of files that cannot be read; it has to name one of them.
REFUSALS = (ValueError, FileNotFoundError)


@dataclasses.dataclass(frozen=True)
class Case:
  """A folder of files and how it is read.

  Attributes:
    files: relative path -> content.
    damaged: those to be damaged; by default all.
    read: folder -> nothing.
    refusals: the errors that may come of it.
  """

  files: Mapping[str, bytes]
  read: Callable[[pathlib.Path], None]
  damaged: tuple[str, ...] = ()
  refusals: tuple[type[Exception], ...] = REFUSALS


def _content(folder: pathlib.Path) -> dict[str, bytes]:
  return {
    str(path.relative_to(folder)): path.read_bytes()
    for path in sorted(folder.rglob('*'))
    if path.is_file()
  }


def _written(write: Callable[[pathlib.Path], None]) -> dict[str, bytes]:
  """The files that a function writes into a folder."""
  with tempfile.TemporaryDirectory() as folder:
    write(pathlib.Path(folder))
    return _content(pathlib.Path(folder))


# ---------------------------------------------------------------- videos

_FORMATS = (
  # suffix, codec, pixel format, options
  ('mp4', 'libx264', 'yuv420p', {'g': '5', 'bf': '2', 'threads': '1'}),
  ('mov', 'mjpeg', 'yuvj420p', {}),
  ('mkv', 'libx264', 'yuv420p', {'g': '4', 'threads': '1'}),
  ('mkv', 'ffv1', 'yuv420p', {}),
  ('webm', 'libvpx', 'yuv420p', {'g': '6', 'threads': '1'}),
  ('avi', 'mpeg4', 'yuv420p', {'g': '6', 'bf': '2'}),
  ('mpg', 'mpeg2video', 'yuv420p', {'g': '6', 'bf': '2'}),
  ('ts', 'libx264', 'yuv420p', {'g': '6', 'threads': '1'}),
  ('flv', 'flv', 'yuv420p', {'g': '6'}),
  ('gif', 'gif', 'rgb8', {}),
  ('avi', 'rawvideo', 'yuv420p', {}),
  ('h264', 'libx264', 'yuv420p', {'g': '6', 'threads': '1'}),
)
_SIZE = (32, 48)


def _frames(num_frames: int, size: tuple[int, int] = _SIZE) -> np.ndarray:
  """A square that moves over a slope of grey."""
  height, width = size
  frames = np.broadcast_to(
    np.linspace(0, 200, width, dtype=np.uint8)[None, None, :, None],
    (num_frames, height, width, 3),
  ).copy()
  for t in range(num_frames):
    frames[t, 8:20, t : t + 12] = (250, 8 * t % 256, 40)
  return frames


def _encoded(codec, suffix, pixel_format, options, num_frames=18) -> bytes:
  file = io.BytesIO()
  name = {'mkv': 'matroska', 'ts': 'mpegts', 'mpg': 'mpeg'}.get(suffix, suffix)
  with av.open(
    file, 'w', format=name, options={'fflags': '+bitexact'}
  ) as container:
    stream = container.add_stream(codec, rate=25, options=options)
    stream.height, stream.width = _SIZE
    stream.pix_fmt = pixel_format
    for array in _frames(num_frames):
      frame = av.VideoFrame.from_ndarray(array, format='rgb24')
      container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
  return file.getvalue()


def _read_frames(record) -> None:
  with open_record(record) as reader:
    if hasattr(reader, 'info'):
      reader.info()
    last = reader.num_frames - 1
    for indices in ([0], [last], [last // 2, 0, last], [last // 3] * 2):
      frames = reader.read(indices)
      assert frames.dtype == np.uint8 and frames.shape[3] == 3


def _read_video(folder: pathlib.Path) -> None:
  """As a file and as bytes; then as `doctor videos` does."""
  [path] = folder.iterdir()
  errors = []
  for record in ({}, {'video': path.read_bytes()}):
    try:
      _read_frames({'path': str(path), 'label': 0, **record})
    except VideoError as error:
      errors.append(error)
  if path.suffix in VIDEO_SUFFIXES:
    video_checks.check_videos(str(folder), num_workers=1)
  if errors:
    raise errors[0]


def _videos() -> list[Case]:
  return [
    Case(
      {f'clip.{suffix}': _encoded(codec, suffix, pixels, options)},
      _read_video,
      refusals=(VideoError,),
    )
    for suffix, codec, pixels, options in _FORMATS
  ]


def _image(array: np.ndarray, kind: str, **options) -> bytes:
  file = io.BytesIO()
  Image.fromarray(array).save(file, kind, **options)
  return file.getvalue()


def _read_images(folder: pathlib.Path) -> None:
  _read_frames({'path': str(folder), 'label': 0})


def _images() -> list[Case]:
  frames = _frames(3)
  grey = frames[..., 0].astype(np.uint16) * 256
  kinds = {
    '.jpg': [_image(frame, 'JPEG') for frame in frames],
    '.png': [_image(frame, 'PNG') for frame in frames],
    '.bmp': [_image(frame, 'BMP') for frame in frames],
    '.webp': [_image(frame, 'WEBP') for frame in frames],
    '.16.png': [_image(frame, 'PNG') for frame in grey],
  }
  return [
    Case(
      {f'{i}{suffix}': image for i, image in enumerate(images)},
      _read_images,
      refusals=(VideoError,),
    )
    for suffix, images in kinds.items()
  ]


# ----------------------------------------------------------------- lists


def _read_source(**config) -> None:
  """All records, and whether they are what `records.Record` says."""
  source = SOURCES.build(config)
  for i in range(len(source)):
    record = source[i]
    assert isinstance(record['path'], str)
    assert isinstance(record['label'], int) and record['label'] >= -1
    assert record['label'] < max(len(source.class_names), 1)
  assert all(isinstance(name, str) for name in source.class_names)


def _read_listing(folder: pathlib.Path) -> None:
  [path] = (p for p in folder.iterdir() if p.name.startswith('list.'))
  _read_source(name='listing', path=str(path), split='all')
  video_checks.check_videos(str(folder), str(path), num_workers=1, quick=True)


_ROWS = [
  {'path': 'a.mp4', 'label': 'run', 'split': 'train', 'start': '0', 'end': '1'},
  {'path': 'b.mp4', 'label': 'walk', 'split': 'train', 'start': '', 'end': ''},
  {
    'path': 'c d.mp4',
    'label': 'run',
    'split': 'val',
    'start': '1.5',
    'end': '',
  },
  {'path': 'a.mp4', 'label': 'ü', 'split': 'val', 'start': '1', 'end': '2'},
]


def _lists() -> list[Case]:
  columns = list(_ROWS[0])
  table = [columns, *([row[c] for c in columns] for row in _ROWS)]
  numbers = ['a.mp4 0', 'b.mp4 1', 'c d.mp4 12']
  typed = [
    {'path': 'a.mp4', 'label': 3, 'start': 0.5, 'split': 'train', 'who': 'x'},
    {'path': 'b.mp4', 'label': None, 'split': 'val', 'end': 2},
    {'path': 'c d.mp4', 'label': 0, 'split': 'train', 'size': [1, 2]},
  ]
  texts = {
    'list.csv': '\n'.join(map(','.join, table)),
    'list.txt': '\n'.join(numbers),
    'list.json': json.dumps(_ROWS),
    'list.jsonl': '\n'.join(map(json.dumps, typed)),
  }
  plain = {'list.csv': '\n'.join(numbers[:2]).replace(' ', ',')}
  videos = {f'{name}.mp4': b'no video' for name in ('a', 'b', 'c d')}
  return [
    Case({name: text.encode(), **videos}, _read_listing, (name,))
    for name, text in (*texts.items(), *plain.items())
  ]


# --------------------------------------------------------------- weights

_RVM = {
  'name': 'rvm',
  'variant': 'tiny',
  'width': 32,
  'decoder_width': 16,
  'patch_size': 8,
  'encoder_blocks': 1,
  'core_blocks': 1,
  'decoder_blocks': 1,
}
_VIDEOMAE = {
  'name': 'videomae',
  'variant': 'tiny',
  'width': 192,
  'encoder_heads': 3,
  'encoder_mlp_dim': 32,
  'decoder_width': 192,
  'decoder_heads': 3,
  'decoder_mlp_dim': 32,
  'patch_size': 4,
  'tubelet_size': 2,
  'encoder_blocks': 1,
  'decoder_blocks': 1,
}
_SIZES = {
  'image_size': [16, 24],
  'num_frames': 4,
  'num_attention_heads': 3,
  'decoder_num_attention_heads': 3,
  'norm_pix_loss': True,
}


def _random(shapes):
  rng = np.random.default_rng(0)
  return jax.tree.map(
    lambda leaf: rng.normal(0, 0.1, leaf.shape).astype(np.float32), shapes
  )


def _rvm_arrays() -> dict[str, np.ndarray]:
  shapes = weights.released_shapes(build_model(_RVM))
  return rvm_released.to_released(_random(shapes))


def _videomae_arrays(original: bool = False) -> dict[str, np.ndarray]:
  model = build_model(_VIDEOMAE)
  ids = jax.ShapeDtypeStruct((1, 1), np.int32)
  video = jax.ShapeDtypeStruct((1, 2, 4, 8, 3), np.uint8)
  batch = {'video': video, 'ids_keep': ids, 'ids_mask': ids}
  shapes = jax.eval_shape(model.init, jax.random.key(0), batch)['params']
  origin = hugging_face.origin_of(_VIDEOMAE, original)
  return state_dict.to_state_dict(_random(shapes), origin)


def _run_config(model: Mapping) -> str:
  config = tiny_recipe.get_config()
  config.model = dict(model)
  return config_utils.to_json(config)


def _load_weights(folder: pathlib.Path) -> None:
  weights.load_model(_weights_file(folder))


def _check_weights(folder: pathlib.Path) -> None:
  """As `doctor checkpoint` does, which tells what it cannot read."""
  report = checkpoints.check_checkpoint(_weights_file(folder))
  checkpoints.format_report(report)
  if report.error:
    raise ValueError(report.error)


def _weights_file(folder: pathlib.Path) -> pathlib.Path:
  file = weights.find_file(folder)
  if file is None:
    [file] = (p for p in folder.iterdir() if p.name != 'config.json')
  return file


def _weights_cases(
  *folders: Mapping[str, bytes], damaged: tuple[str, ...] = ()
) -> list[Case]:
  """Each folder of weights, read in both ways."""
  return [
    Case(files, read, damaged)
    for read in (_load_weights, _check_weights)
    for files in folders
  ]


def _npz_files() -> list[Case]:
  arrays = _rvm_arrays()
  note = {'config': _run_config(_RVM), 'part': 'all', 'rvmae_jax': '0.1.0'}
  encoder = {
    name: array
    for name, array in arrays.items()
    if not name.startswith(rvm_released._DECODER_PREFIXES)
  }
  writers = (
    lambda folder: np.savez(folder / 'rvm.npz', **arrays),
    lambda folder: np.savez_compressed(folder / 'rvm.npz', **encoder),
    lambda folder: npz.write(folder / 'rvm.npz', arrays, note),
  )
  return _weights_cases(*map(_written, writers))


def _safetensors_files() -> list[Case]:
  released, videomae = _rvm_arrays(), _videomae_arrays()
  note = {'config': _run_config(_VIDEOMAE), 'part': 'all'}

  def write_beside_config(folder):
    safetensors.write(folder / 'model.safetensors', videomae)
    (folder / 'config.json').write_text(json.dumps(_SIZES))

  writers = (
    write_beside_config,
    lambda folder: safetensors.write(folder / 'a.safetensors', released),
    lambda folder: safetensors.write(folder / 'a.safetensors', videomae, note),
  )
  return _weights_cases(*map(_written, writers))


def _as_legacy(file: bytes) -> bytes:
  """A zip file of PyTorch's as those before 1.6 were."""
  with zipfile.ZipFile(io.BytesIO(file)) as archive:
    folder = archive.namelist()[0].partition('/')[0]
    memory = {
      name.rpartition('/')[2]: archive.read(name)
      for name in archive.namelist()
      if '/data/' in name
    }
    return legacy_file(archive.read(f'{folder}/data.pkl'), memory)


def _torch_files() -> list[Case]:
  theirs, original = _videomae_arrays(), _videomae_arrays(original=True)
  note = {'config': _run_config(_VIDEOMAE), 'part': 'all'}

  def write(name, content, config=None, as_legacy=False):
    def files(folder):
      path = folder / name
      torch_files.write(path, content)
      if as_legacy:
        path.write_bytes(_as_legacy(path.read_bytes()))
      if config:
        (folder / 'config.json').write_text(json.dumps(config))

    return _written(files)

  return _weights_cases(
    write('pytorch_model.bin', theirs, _SIZES),
    write('pytorch_model.bin', theirs, _SIZES, as_legacy=True),
    write('checkpoint.pth', {'module': original}),
    write('checkpoint.pth', {'model': original}, as_legacy=True),
    write('export.pth', {'model': theirs, weights.NOTE: note}),
  )


def _sharded_weights() -> list[Case]:
  arrays = _videomae_arrays()

  def write(name):
    def files(folder):
      write_sharded(folder / name, arrays, 2)
      (folder / 'config.json').write_text(json.dumps(_SIZES))

    return _written(files)

  return _weights_cases(
    write('model.safetensors.index.json'),
    write('pytorch_model.bin.index.json'),
  )


# ---------------------------------------------------------------- shards


def _read_shards(folder: pathlib.Path) -> None:
  """The source, each video of it, and what its files were."""
  source = SOURCES.build({'name': 'shards', 'path': str(folder)})
  list(source.identities())
  errors = []
  for i in range(len(source)):
    try:
      _read_frames(source[i])
    except VideoError as error:
      errors.append(error)
  if errors:
    raise errors[0]


def _shards() -> list[Case]:
  def write(encoding):
    def files(folder):
      clip = _encoded('libx264', 'mp4', 'yuv420p', {'threads': '1'}, 8)
      for i, name in enumerate(('run/a', 'run/b', 'walk/c')):
        path = folder / f'videos/train/{name}.mp4'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(clip + bytes(i))
      prepare.prepare(
        str(folder / 'videos'),
        str(folder / 'shards'),
        encoding=encoding,
        records_per_shard=2,
        workers=1,
      )

    return {
      pathlib.Path(name).name: content
      for name, content in _written(files).items()
      if name.startswith('shards/')
    }

  cases = []
  for encoding in (Encoding(short_side=32), Encoding(codec='jpeg')):
    files = write(encoding)
    damaged = tuple(n for n in files if n.endswith('.array_record'))
    refusals = (*REFUSALS, VideoError)
    cases += [
      Case(files, _read_shards, damaged, refusals),
      Case(files, _read_shards, (*damaged, 'manifest.json'), refusals),
    ]
  return cases


def _features() -> list[Case]:
  def write(folder, suffix):
    arrays = [np.arange(6, dtype=np.float32).reshape(2, 3) + i for i in (0, 1)]
    with features.shard_writer(folder / f'features-00000{suffix}') as add:
      rows = [
        f'{i}.mp4,{i},8,2x3,features-00000{suffix},{add(array)}'
        for i, array in enumerate(arrays)
      ]
    header = ','.join(features.COLUMNS)
    (folder / features.INDEX).write_text('\n'.join((header, *rows)))
    (folder / features.SETTINGS).write_text('{"class_names": ["a", "b"]}')

  def read(folder):
    found = features.FeatureFolder(folder)
    for i in range(len(found)):
      found[i]
    assert found.stack().shape[1:] == (2, 3) and found.labels.shape

  return [
    Case(_written(lambda folder, s=suffix: write(folder, s)), read)
    for suffix in features.SUFFIXES.values()
  ]


# --------------------------------------------------------------- configs


def _read_note(folder: pathlib.Path) -> None:
  """The config as an export has it, beside the arrays that it is of."""
  text = (folder / 'config.json').read_bytes().decode('utf-8', 'replace')
  npz.write(folder / 'note.npz', _RELEASED, {'config': text[:60_000]})
  weights.load_model(folder / 'note.npz')


_RELEASED = {}


def _configs() -> list[Case]:
  _RELEASED.update(_rvm_arrays())
  recipe = {'config.json': _run_config(_RVM).encode()}
  beside = _written(
    lambda folder: safetensors.write(
      folder / 'model.safetensors', _videomae_arrays()
    )
  )

  return [
    Case(recipe, _read_note),
    *_weights_cases(
      {**beside, 'config.json': json.dumps(_SIZES).encode()},
      damaged=('config.json',),
    ),
  ]


# ------------------------------------------------------------------ runs


def _run_files() -> dict[str, bytes]:
  """A run of no training: its config, checkpoint, manifest and metrics."""

  def write(folder):
    config = tiny_recipe.get_config()
    (folder / 'config.json').write_text(config_utils.to_json(config))
    shapes = build_parts(config).shapes
    state = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    with Checkpointer(folder, config) as checkpointer:
      checkpointer.save(3, state, {'position': 1})
    manifest.record(folder, config.data.sources.to_dict())
    lines = [{'step': i, 'loss': 1 / i, 'psnr_hidden': i} for i in range(1, 5)]
    (folder / 'metrics.jsonl').write_text('\n'.join(map(json.dumps, lines)))

  return _written(write)


def _load_run(folder: pathlib.Path) -> None:
  weights.load_model(folder)


def _check_run(folder: pathlib.Path) -> None:
  report = checkpoints.check_checkpoint(folder)
  checkpoints.format_report(report)
  if report.error:
    raise ValueError(report.error)


def _read_manifest(folder: pathlib.Path) -> None:
  assert manifest.find_run(folder)
  manifest.SeenVideos(folder)


def _runs() -> list[Case]:
  files = _run_files()
  state = tuple(name for name in files if '/state/' in name)
  config = tuple(name for name in files if '/config/' in name)
  return [
    Case(files, read, damaged)
    for read in (_load_run, _check_run)
    for damaged in (state, config)
  ]


def _manifests() -> list[Case]:
  files = {
    name: content
    for name, content in _run_files().items()
    if name.startswith('training_')
  }
  return [Case(files, _read_manifest)]


_METRICS = {
  'reconstruction': {
    'num_videos': 504,
    'gap_4/gain_db': 1.5,
    **{
      f'gap_4/{m}/psnr_hidden': 20.0
      for m in ('mean_colour', 'copy_last', 'model')
    },
    **{
      f'gap_4/{m}/ssim_hidden': 0.5
      for m in ('mean_colour', 'copy_last', 'model')
    },
  },
  'linear_probe': {
    'chance': 0.1,
    'num_classes': 10,
    'num_train': 90,
    'num_test': 40,
    **{f'{s}/mean/top1': 0.5 for s in ('trained', 'random', 'pixels')},
  },
  'retrieval': {
    'num_queries': 9,
    'num_gallery': 8,
    **{f'{s}/recall_at_1': 0.5 for s in ('trained/mean', 'chance')},
    **{f'{s}/map': 0.25 for s in ('trained/mean', 'chance')},
  },
  'knn': {},
}


def _read_report(folder: pathlib.Path) -> None:
  report.write_report(folder, folder, folder / 'report.html')


def _reports() -> list[Case]:
  results = {
    name: {'name': name, 'metrics': numbers, 'seconds': 1.0, 'pictures': []}
    for name, numbers in _METRICS.items()
  }
  results['knn']['leakage'] = {'num_shared': 1, 'num_videos': 3}
  measured = {'evaluations': results, 'command': 'evaluate <it>'}
  lines = [{'step': i, 'loss': 1 / i, 'x/gain_db': 2.0} for i in range(1, 5)]
  files = {
    'config.json': _run_config(_RVM),
    'metrics.json': json.dumps(measured),
    'metrics.jsonl': '\n'.join(map(json.dumps, lines)),
  }
  files = {name: text.encode() for name, text in files.items()}
  return [Case(files, _read_report)]


# What is damaged -> its cases, made when they are asked for.
KINDS: Mapping[str, Callable[[], list[Case]]] = {
  'videos': _videos,
  'images': _images,
  'lists': _lists,
  'npz': _npz_files,
  'safetensors': _safetensors_files,
  'torch': _torch_files,
  'sharded': _sharded_weights,
  'shards': _shards,
  'features': _features,
  'configs': _configs,
  'runs': _runs,
  'manifests': _manifests,
  'reports': _reports,
}
