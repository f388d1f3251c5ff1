"""Features of all videos, in both ways of reading; stopped, shared, damaged."""

import csv
import json

import jax
import numpy as np
import pytest

from rvmae_jax import config_utils, weights
from rvmae_jax.batch import fake_batch
from rvmae_jax.data.features import FeatureFolder
from rvmae_jax.data.locking import FolderLock, InUseError
from rvmae_jax.data.pipeline import batch_spec
from rvmae_jax.data.readers import VideoError
from rvmae_jax.data.sources.fake import Fake
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.pooling import pool
from rvmae_jax.models import build_model
from rvmae_jax.tools import extract
from rvmae_jax.tools.extraction.videos import make_extractor
from tests import tiny_recipe

OPTIONS = {
  'kind': 'frames',
  'read': 'clip',
  'size': (16, 16),
  'num_frames': 4,
  'stride': 0,
  'batch_size': 3,
  'window': 4,
  'chunk': 4,
  'reset_every': 0,
}
TOKEN_SIZE = {'patch_size': 8, 'tubelet_size': 1}
SETTINGS = {'format': 'npz', 'dtype': 'float32', 'videos_per_shard': 3}


class MeanColours:
  """In place of a network: a CLS of zeros, then each patch's mean colour."""

  is_recurrent = False
  num_prefix_tokens = 1

  def __init__(self):
    self.num_calls = 0

  def encode(self, video):
    self.num_calls += 1
    b, t, h, w, _ = video.shape
    patches = video.reshape(b, t, h // 8, 8, w // 8, 8, 3).mean((3, 5))
    tokens = patches.reshape(b, t, -1, 3) / 255
    return np.pad(tokens, ((0, 0), (0, 0), (1, 0), (0, 0))).astype(np.float32)

  def pooled(self, video, poolings):
    return jax.device_get(pool(self.encode(video)[:, :, 1:], poolings))


def _source(num_videos=8, num_frames=6, size=(16, 16)):
  return Fake(num_videos=num_videos, num_frames=num_frames, size=size)


def _extract(output, functions=None, source=None, **changes):
  options = OPTIONS | {k: v for k, v in changes.items() if k in OPTIONS}
  given = {k: v for k, v in changes.items() if k not in OPTIONS}
  processes = {k: given.pop(k) for k in list(given) if 'process' in k}
  extractor = make_extractor(functions or MeanColours(), options, TOKEN_SIZE)
  settings = {**SETTINGS, 'kind': options['kind'], **given}
  return extract.extract(
    source or _source(), extractor, output, settings, **processes
  )


@pytest.mark.parametrize('format_name', ['npz', 'arrayrecord'])
def test_every_frame_of_every_video_is_found_again(format_name, tmp_path):
  source = _source()
  assert _extract(tmp_path, read='all', kind='dense', format=format_name)
  folder = FeatureFolder(tmp_path)
  assert len(folder) == 8 and len({row['file'] for row in folder.rows}) == 3
  for i in (7, 0, 4):
    frames = source[i]['frames'] / 255
    expected = frames.reshape(6, 2, 8, 2, 8, 3).mean((2, 4)).reshape(6, 4, 3)
    np.testing.assert_allclose(folder[i], expected, atol=1e-6)
    assert folder.rows[i]['path'] == source[i]['path']
    assert folder.rows[i]['num_frames'] == 6
    assert folder.rows[i]['shape'] == (6, 4, 3)
  assert folder.labels.tolist() == [0, 1, 2, 3] * 2
  assert folder.class_names == source.class_names


def test_names_of_videos_need_not_be_utf_8(tmp_path):
  class Named(Fake):
    def __getitem__(self, index):
      return super().__getitem__(index) | {'path': f'caf\udce9_{index}.mp4'}

  _extract(tmp_path, source=Named(num_videos=2, num_frames=6, size=(16, 16)))
  paths = [row['path'] for row in FeatureFolder(tmp_path).rows]
  assert paths == ['caf\udce9_0.mp4', 'caf\udce9_1.mp4']


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['--videos_per_shard=-1'], 'argument --videos_per_shard: -1 is less'),
    (['--batch_size=-2'], 'argument --batch_size: -2 is less than 1'),
    (['--process_id=2', '--num_processes=2'], 'the 2 of --num_processes are'),
  ],
)
def test_numbers_that_would_leave_videos_out_are_refused(
  tmp_path, capsys, arguments, message
):
  with pytest.raises(SystemExit):
    extract.main(['--checkpoint=run', f'--output={tmp_path}', *arguments])
  assert message in capsys.readouterr().err


def test_clips_are_those_of_evaluations(tmp_path):
  _extract(tmp_path, kind='mean', num_frames=2)
  frames = _source()[5]['frames'][[1, 4]] / 255  # The middles of two halves.
  # Probes leave out the CLS token, here zeros.
  expected = frames.mean((0, 1, 2))
  features = FeatureFolder(tmp_path).stack()
  assert features.shape == (8, 3)
  np.testing.assert_allclose(features[5], expected, atol=1e-6)


def test_poolings_of_whole_videos_need_no_more_than_frame_means(tmp_path):
  _extract(tmp_path / 'mean', read='all', kind='mean_std_4')
  _extract(tmp_path / 'frames', read='all', kind='frames')
  pooled = FeatureFolder(tmp_path / 'mean')[3]
  frames = FeatureFolder(tmp_path / 'frames')[3]
  expected = np.concatenate([frames[-4:].mean(0), frames[-4:].std(0)])
  np.testing.assert_allclose(pooled, expected, atol=1e-6)


def test_a_video_that_is_too_short_for_its_pooling_is_listed(tmp_path):
  _extract(tmp_path, read='all', kind='mean_std_8')
  assert not FeatureFolder(tmp_path).rows
  bad = (tmp_path / 'bad_videos.csv').read_text()
  assert bad.count('A pooling over 8 frames does not fit clips of 6') == 8


def test_clips_that_are_too_short_for_a_pooling_are_refused(tmp_path):
  with pytest.raises(
    ValueError, match='over 8 frames does not fit clips of 2 frames'
  ):
    _extract(tmp_path, kind='mean_std_8', num_frames=2)


def test_what_is_there_is_not_done_again(tmp_path):
  _extract(tmp_path)
  whole = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
  for name in ('features-00001.json', 'features-00001.npz', 'index.csv'):
    (tmp_path / name).unlink()
  functions = MeanColours()
  _extract(tmp_path, functions)
  assert functions.num_calls == 1  # Of three shards, one.
  assert FeatureFolder(tmp_path).rows[4]['file'] == 'features-00001.npz'
  again = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
  assert (
    again.keys() == whole.keys() and again['index.csv'] == whole['index.csv']
  )


def test_processes_share_the_shards_and_the_last_writes_the_index(tmp_path):
  functions = [MeanColours(), MeanColours()]
  share = {'num_processes': 2, 'output': tmp_path / 'two'}
  assert not _extract(functions=functions[0], process_id=0, **share)
  with pytest.raises(FileNotFoundError):
    FeatureFolder(tmp_path / 'two')
  assert _extract(functions=functions[1], process_id=1, **share)
  assert [f.num_calls for f in functions] == [2, 1]
  _extract(tmp_path / 'one')
  one, two = (tmp_path / name / 'index.csv' for name in ('one', 'two'))
  assert one.read_text() == two.read_text()


def test_other_settings_are_refused(tmp_path):
  _extract(tmp_path)
  with pytest.raises(ValueError, match="kind: 'frames' then, 'dense' now"):
    _extract(tmp_path, kind='dense')


@pytest.mark.parametrize('read', ['clip', 'all'])
def test_bad_videos_are_listed(read, tmp_path):
  class Damaged(Fake):
    def __getitem__(self, index):
      record = super().__getitem__(index)
      if index == 1:
        del record['frames']  # Then its path is opened, which is no file.
      return record

  source = Damaged(num_videos=5, num_frames=6, size=(16, 16))
  _extract(tmp_path, source=source, read=read)
  assert FeatureFolder(tmp_path).labels.tolist() == [0, 2, 3, 0]
  with open(tmp_path / 'bad_videos.csv') as file:
    [bad] = csv.DictReader(file)
  assert bad == {'path': 'fake/train/1', 'reason': 'No such file or directory'}


def test_damaged_records_are_listed(tmp_path):
  class Damaged(Fake):
    def __getitem__(self, index):
      if index == 1:
        raise VideoError('shard, record 1', 'damaged record')
      return super().__getitem__(index)

  source = Damaged(num_videos=5, num_frames=6, size=(16, 16))
  _extract(tmp_path, source=source)
  assert len(FeatureFolder(tmp_path)) == 4
  with open(tmp_path / 'bad_videos.csv') as file:
    [bad] = csv.DictReader(file)
  assert bad == {'path': 'shard, record 1', 'reason': 'damaged record'}


def test_a_second_process_with_the_same_shards_is_refused(tmp_path):
  with (
    FolderLock(tmp_path, 'extract-0'),
    pytest.raises(InUseError, match='is in use by'),
  ):
    _extract(tmp_path)
  assert not list(tmp_path.iterdir())


def test_stacking_videos_of_different_lengths_is_refused(tmp_path):
  _extract(tmp_path, read='all')
  folder = FeatureFolder(tmp_path)
  folder.rows[0]['shape'] = (5, 3)
  with pytest.raises(ValueError, match='2 different shapes'):
    folder.stack()


def test_the_command_extracts_from_a_recurrent_network(
  tmp_path, monkeypatch, capsys
):
  config = tiny_recipe.get_config()
  config.data.sources.noise.num_videos = 3
  batch = fake_batch(batch_spec(config.data, 1, 8))
  model = build_model(config.model)
  params = jax.jit(model.init)(jax.random.key(0), batch)['params']
  monkeypatch.setattr(weights, 'load', lambda *_, **__: (params, config))
  arguments = ['--checkpoint=run', f'--output={tmp_path}', '--split=val']
  arguments += ['--features=dense', '--read=all', '--chunk=5']
  assert extract.main(arguments) == 0
  assert 'dense features of 3 videos; 0 could not' in capsys.readouterr().out
  folder = FeatureFolder(tmp_path)
  assert folder.settings['source']['split'] == 'val'
  # Streamed in chunks, and yet what the whole video gives; CLS is left out.
  video = Fake('val', 3, 12, (32, 32))[1]['frames'][None]
  expected = ModelFunctions(model, params).encode(video)[0, :, 1:]
  np.testing.assert_allclose(folder[1], expected, atol=1e-5)
  arguments[-1] = '--dtype=float16'
  assert extract.main(arguments) == 2
  assert "dtype: 'float32' then" in capsys.readouterr().err


def test_the_source_of_a_run_is_kept_whole_with_the_features():
  source = {'name': 'listing', 'path': 'a.csv', 'require': {'consent': 'yes'}}
  config = config_utils.from_json(
    json.dumps({'data': {'sources': {'videos': {**source, 'weight': 2}}}})
  )
  found = extract.choose_source('', '', config)
  assert json.loads(json.dumps(found)) == source


def test_without_input_the_run_must_have_one_source():
  config = config_utils.from_json(json.dumps({'data': {'sources': {}}}))
  with pytest.raises(ValueError, match='names 0 sources'):
    extract.choose_source('', '', config)


def test_what_is_left_open_is_as_in_the_run():
  options = {'size': '', 'num_frames': 0, 'window': 0}
  data = tiny_recipe.get_config().data
  # Its clips are of source and target frames, so none has a length to take.
  expected = {'size': [32, 32], 'num_frames': 16, 'window': 16}
  assert extract.fill_options(options, data) == expected
  data.clip = {'name': 'uniform', 'num_frames': 8}
  options = {'size': '64x48', 'num_frames': 4, 'window': 0}
  expected = {'size': [64, 48], 'num_frames': 4, 'window': 8}
  assert extract.fill_options(options, data) == expected
  # A sampler that plays the clips of another one.
  data.clip = {'name': 'playback', 'clip': data.clip.to_dict()}
  assert extract.fill_options(options, data) == expected
