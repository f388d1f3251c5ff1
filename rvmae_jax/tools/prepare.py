"""Makes ArrayRecord shards of videos: small frames that are fast to read.

  python -m rvmae_jax.tools.prepare --input VIDEOS --output SHARDS

VIDEOS is a folder (class = folder) or a .csv, .json or .jsonl list; see
data/sources/folder.py and listing.py for how they say splits and labels. Every
video is trimmed, scaled to `--short_side` and encoded with a key frame every
`--gop` frames, or as JPEG frames. `{'name': 'shards', 'path': SHARDS}` is then
a source. If it is killed and started again with the same arguments, it makes
the shards that are missing, byte for byte as they would have been. SHARDS holds

  train-00000.array_record  records; each appears only when it is complete
  train-00000.json          what is in the shard, and what was skipped and why
  settings.json             what the shards were made with and from
  manifest.json             written last: settings, class_names; for each split
                            its videos, frames and shards with sha256; inputs
                            with sha256 and columns of the list; how many were
                            left out; skipped videos with reasons

`--require consent=yes` leaves out videos whose list does not say so, and
counts them. `--anonymise faces` blurs the faces that it finds, and counts them;
it misses some. See docs/privacy.md.

`--runner beam` writes the same shards with Apache Beam, from a folder to a
folder that every worker sees; arguments unknown here go to Beam.
"""

import collections
import concurrent.futures
import concurrent.futures.process
import dataclasses
import hashlib
import json
import multiprocessing
import os
import pathlib
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from rvmae_jax import files
from rvmae_jax.commands import at_least, command_line, explains_errors
from rvmae_jax.data.decoding import VideoError
from rvmae_jax.data.encoding import Encoding, encode_record
from rvmae_jax.data.faces import FaceDetector, find_faces
from rvmae_jax.data.fingerprints import (
  content_sha256,
  quick_fingerprint,
  size_bytes,
)
from rvmae_jax.data.locking import FolderLock, InUseError
from rvmae_jax.data.processes import end_with_parent
from rvmae_jax.data.provenance import (
  Requirements,
  check_columns,
  keep_required,
  parse_requirements,
  show_counts,
)
from rvmae_jax.data.readers import video_errors
from rvmae_jax.data.records import Record
from rvmae_jax.data.sources.folder import Folder
from rvmae_jax.data.sources.listing import Listing
from rvmae_jax.data.sources.shards import MANIFEST, pack
from rvmae_jax.data.writing import whole_file, write_whole
from rvmae_jax.tools.outputs import check_settings


@dataclasses.dataclass(frozen=True)
class Shard:
  """One shard to be written: enough to do it in another process.

  Attributes:
    path: where, without suffix.
    split: of its videos.
    records: the videos.
    root: their paths are stored relative to it.
    encoding: how to encode them.
    anonymise: what to hide in them: 'faces', or '' for nothing.
  """

  path: str
  split: str
  records: list[Record]
  root: str
  encoding: Encoding
  anonymise: str = ''

  @property
  def summary_path(self) -> pathlib.Path:
    """Exists once the shard is complete."""
    return pathlib.Path(f'{self.path}.json')


def write_shard(shard: Shard) -> None:
  """Encodes a shard's videos and writes it, unless that is done already."""
  from array_record.python.array_record_module import ArrayRecordWriter

  if shard.summary_path.exists():
    return
  path = pathlib.Path(f'{shard.path}.array_record')
  with whole_file(path) as part:
    # Groups of one make a single record cheap to read; videos are compressed.
    writer = ArrayRecordWriter(str(part), 'group_size:1,uncompressed')
    summary = _write_records(shard, writer)
    writer.close()
    summary = {
      'file': path.name,
      'sha256': content_sha256(part),
      'num_bytes': part.stat().st_size,
      **summary,
    }
  write_whole(shard.summary_path, json.dumps(summary, indent=1))


def _write_records(shard: Shard, writer: Any) -> dict[str, Any]:
  """Writes what can be read of a shard's videos; returns what is in it."""
  videos, skipped, num_frames = [], [], 0
  hidden = collections.Counter()
  for record in shard.records:
    original = record['path']
    name = os.path.relpath(original, shard.root)
    try:
      faces = None
      if shard.anonymise:
        faces = find_faces(record, shard.encoding.max_seconds)
      encoded, length = encode_record(record, shard.encoding, faces)
      with video_errors(original):  # It may have vanished meanwhile.
        video = {
          'path': name,
          'label': record['label'],
          'num_bytes': size_bytes(original),
          'fingerprint': quick_fingerprint(original),
          'sha256': content_sha256(original),
          **({'columns': record['columns']} if 'columns' in record else {}),
        }
    except VideoError as error:
      skipped.append({'path': name, 'reason': error.reason})
      continue
    writer.write(pack({**encoded, 'path': name}))
    num_frames += length
    if faces:
      video['num_faces'] = faces.number
      hidden['num_faces'] += faces.number
      hidden['num_frames_with_faces'] += faces.num_frames
      hidden['num_videos_with_faces'] += faces.number > 0
    videos.append(video)
  return {
    'num_videos': len(videos),
    'num_frames': num_frames,
    'anonymised': dict(hidden),
    'videos': videos,
    'skipped': skipped,
  }


def plan(
  input_path: str,
  output: str,
  encoding: Encoding,
  records_per_shard: int = 0,
  require: Requirements | None = None,
  anonymise: str = '',
) -> tuple[list[Shard], dict[str, Any]]:
  """Which shards to write, and the settings that decide what is in them.

  Args:
    input_path: a folder of videos or a list of them.
    output: folder of the shards.
    encoding: how to encode.
    records_per_shard: 0 chooses 8 to 256, for about 32 shards a split.
    require: what the list has to say of a video, see `keep_required`.
    anonymise: 'faces' hides those that are found; '' nothing.

  Raises:
    ValueError: no video at all has what is required.
    ImportError: there is nothing to find faces with.
  """
  if anonymise:
    FaceDetector()  # If there is none, this fails before any work is done.
  is_folder = os.path.isdir(input_path)
  source = Folder if is_folder else Listing
  everything = source(input_path, 'all')
  root = os.path.abspath(
    input_path if is_folder else os.path.dirname(input_path)
  )
  require = require or {}
  every_video = map(everything.__getitem__, range(len(everything)))
  check_columns(every_video, require, input_path)
  shards, left_out = [], {}
  for split in everything.splits:
    videos = source(input_path, split)
    records = [videos[i] for i in range(len(videos))]
    kept, left_out[split] = keep_required(records, require, input_path)
    records = [records[i] for i in kept]
    size = records_per_shard or min(max(-(-len(records) // 32), 8), 256)
    for number, first in enumerate(range(0, len(records), size)):
      path = os.path.join(output, f'{split}-{number:05d}')
      part = records[first : first + size]
      shards.append(Shard(path, split, part, root, encoding, anonymise))
  if not shards:
    raise ValueError(
      f'No video of {input_path!r} meets --require; left out: '
      f'{"; ".join(map(show_counts, left_out.values()))}.'
    )
  identity = json.dumps(
    [
      [s.split, {**r, 'path': os.path.relpath(r['path'], root)}]
      for s in shards
      for r in s.records
    ]
  )
  return shards, {
    **dataclasses.asdict(encoding),
    'records_per_shard': records_per_shard,
    # Written only if asked for, so that settings of older folders still match.
    **({'require': dict(require), 'left_out': left_out} if require else {}),
    **({'anonymise': anonymise} if anonymise else {}),
    'num_inputs': sum(len(s.records) for s in shards),
    'sha256_of_list': hashlib.sha256(identity.encode()).hexdigest(),
    'class_names': everything.class_names,
  }


def prepare(
  input_path: str,
  output: str,
  encoding: Encoding,
  records_per_shard: int = 0,
  workers: int = 1,
  beam_arguments: Sequence[str] | None = None,
  require: Requirements | None = None,
  anonymise: str = '',
) -> dict[str, Any]:
  """Writes all shards that are missing, then the manifest, and returns it.

  Args:
    input_path, output, encoding, records_per_shard: see `plan`.
    workers: processes.
    beam_arguments: run by Apache Beam with these instead.
    require, anonymise: see `plan`.

  Raises:
    ValueError: `output` holds shards made with other settings or from other
      videos, or no video at all could be read.
    InUseError: another process is filling `output`.
  """
  shards, settings = plan(
    input_path, output, encoding, records_per_shard, require, anonymise
  )
  folder = pathlib.Path(output)
  with FolderLock(folder, 'prepare'):
    check_settings(folder / 'settings.json', settings)
    for leftover in folder.glob('.part-*'):
      # The lock writes such files, too, and may have removed this one.
      leftover.unlink(missing_ok=True)
    return _fill(folder, input_path, shards, settings, workers, beam_arguments)


def _fill(
  folder: pathlib.Path,
  input_path: str,
  shards: Sequence[Shard],
  settings: dict[str, Any],
  workers: int,
  beam_arguments: Sequence[str] | None,
) -> dict[str, Any]:
  todo = [shard for shard in shards if not shard.summary_path.exists()]
  print(
    f'{settings["num_inputs"]} videos in {len(shards)} shards; '
    f'{len(shards) - len(todo)} shards are there already.'
  )
  if beam_arguments is not None:
    _run_beam(todo, beam_arguments)
  else:
    _run_local(todo, workers)
  manifest = _manifest(shards, settings)
  if len(manifest['skipped']) == settings['num_inputs']:
    for shard in shards:  # So that the same command tries again.
      shard.summary_path.unlink()
    first = manifest['skipped'][0]
    raise ValueError(
      f'None of the {settings["num_inputs"]} videos in {input_path!r} can be '
      f'read. The first: {first["path"]}: {first["reason"]}. Repair them, or '
      'give others; `rvmae doctor videos` says more.'
    )
  write_whole(folder / MANIFEST, json.dumps(manifest, indent=1))
  return manifest


def _run_local(todo: Sequence[Shard], workers: int) -> None:
  """Writes shards in processes; prints progress and the time left."""
  total, done, start_s = sum(len(s.records) for s in todo), 0, time.monotonic()
  for number, shard in enumerate(_completed(todo, workers), 1):
    done += len(shard.records)
    elapsed_s = time.monotonic() - start_s
    left_s = round(elapsed_s / done * (total - done))
    print(
      f'{pathlib.Path(shard.path).name} done: shard {number}/{len(todo)}, '
      f'video {done}/{total}, {done / elapsed_s:.1f} videos/s, '
      f'{left_s // 3600}:{left_s // 60 % 60:02d}:{left_s % 60:02d} left',
      flush=True,
    )


def _completed(todo: Sequence[Shard], workers: int) -> Iterator[Shard]:
  """Yields shards as they are completed."""
  if workers <= 1:
    for shard in todo:
      write_shard(shard)
      yield shard
    return
  with worker_pool(workers) as pool:
    shard_of = {pool.submit(write_shard, shard): shard for shard in todo}
    try:
      for future in concurrent.futures.as_completed(shard_of):
        future.result()
        yield shard_of[future]
    except concurrent.futures.process.BrokenProcessPool as error:
      raise RuntimeError(
        'A worker process has died: killed by the system (out of memory?), or '
        'by a video that crashes the decoder. Complete shards are kept, and '
        'the same command resumes; fewer --workers need less memory.'
      ) from error
    finally:
      pool.shutdown(wait=False, cancel_futures=True)


def worker_pool(workers: int) -> concurrent.futures.ProcessPoolExecutor:
  """Processes that end with this one, even if it is killed."""
  return concurrent.futures.ProcessPoolExecutor(
    workers,
    # A fresh interpreter each: forking a process that has threads may hang.
    multiprocessing.get_context('spawn'),
    end_with_parent,
    (os.getpid(),),
  )


def _run_beam(todo: Sequence[Shard], arguments: Sequence[str]) -> None:
  """Writes shards with Apache Beam."""
  try:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
  except ImportError as error:
    raise ImportError(
      "--runner beam needs Apache Beam: pip install 'rvmae_jax[beam]'"
    ) from error
  with beam.Pipeline(options=PipelineOptions(list(arguments))) as pipeline:
    _ = pipeline | beam.Create(todo) | beam.Reshuffle() | beam.Map(write_shard)


def _manifest(
  shards: Sequence[Shard], settings: dict[str, Any]
) -> dict[str, Any]:
  settings = dict(settings)
  manifest = {
    'class_names': settings.pop('class_names'),
    'left_out': settings.pop('left_out', {}),
    'settings': settings,
    'splits': {},
    'inputs': [],
    'skipped': [],
  }
  for shard in shards:
    summary = files.read_json(shard.summary_path)
    for key, found in (('inputs', 'videos'), ('skipped', 'skipped')):
      manifest[key] += [
        {'split': shard.split, **video} for video in summary.pop(found)
      ]
    split = manifest['splits'].setdefault(
      shard.split,
      {
        'num_videos': 0,
        'num_frames': 0,
        'anonymised': {},
        'shards': [],
      },
    )
    split['num_videos'] += summary['num_videos']
    split['num_frames'] += summary['num_frames']
    for name, number in summary.pop('anonymised', {}).items():
      split['anonymised'][name] = split['anonymised'].get(name, 0) + number
    split['shards'].append(summary)
  return manifest


@explains_errors('prepare', InUseError)
def main(arguments: Sequence[str] | None = None) -> int:
  """The command line; returns the exit code, 2 where it is not possible."""
  parser = command_line('rvmae_jax.tools.prepare', __doc__)
  add = parser.add_argument
  add('--input', required=True, help='folder or list of videos')
  add('--output', required=True, help='folder of the shards')
  add('--codec', choices=('h264', 'jpeg'), default='h264')
  add(
    '--short_side', type=at_least(0), default=256, help='pixels; 0: unchanged'
  )
  add(
    '--gop',
    type=at_least(1),
    default=12,
    help='h264: frames between key frames',
  )
  add(
    '--crf',
    type=at_least(0),
    default=20,
    help='h264: lower is better and larger',
  )
  add('--quality', type=at_least(1), default=90, help='jpeg: 1 to 95')
  add(
    '--max_seconds',
    type=at_least(0.0),
    default=0,
    help='trim longer videos to this; 0: none',
  )
  add(
    '--records_per_shard',
    type=at_least(0),
    default=0,
    help='0: automatic, 8 to 256',
  )
  add('--workers', type=at_least(1), default=os.cpu_count(), help='processes')
  add(
    '--require',
    action='append',
    default=[],
    metavar='COLUMN=VALUE',
    help='keep only videos with this value in the list; may be repeated',
  )
  add('--anonymise', choices=('faces',), default='', help='what to blur')
  add('--runner', choices=('local', 'beam'), default='local')
  args, others = parser.parse_known_args(arguments)
  if others and args.runner != 'beam':
    parser.error(f'unknown arguments: {" ".join(others)}')
  try:
    require = parse_requirements(args.require)
  except ValueError as error:
    parser.error(str(error))
  encoding = Encoding(
    **{f.name: getattr(args, f.name) for f in dataclasses.fields(Encoding)}
  )
  manifest = prepare(
    args.input,
    args.output,
    encoding,
    args.records_per_shard,
    args.workers,
    others if args.runner == 'beam' else None,
    require,
    args.anonymise,
  )
  for split, found in manifest['splits'].items():
    size_mb = sum(shard['num_bytes'] for shard in found['shards']) / 1e6
    print(
      f'{split}: {found["num_videos"]} videos, {found["num_frames"]} frames, '
      f'{len(found["shards"])} shards, {size_mb:.1f} MB'
    )
    if args.anonymise:
      hidden = collections.Counter(found['anonymised'])
      print(
        f'{split}: {hidden["num_faces"]} faces hidden in '
        f'{hidden["num_frames_with_faces"]} frames of '
        f'{hidden["num_videos_with_faces"]} videos. The detector misses some: '
        'look at the videos before you share them.'
      )
  for split, counts in manifest['left_out'].items():
    print(f'{split}: left out {show_counts(counts) or "none"}')
  for video in manifest['skipped']:
    print(f'skipped {video["path"]}: {video["reason"]}')
  if manifest['skipped']:
    print('After repairing them, prepare them into another --output.')
  return 0


if __name__ == '__main__':
  sys.exit(main())
