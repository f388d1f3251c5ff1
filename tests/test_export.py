"""Weights taken away: the released layout, equal, and knowing their config."""

import json
import shutil
import types

import jax
import ml_collections
import numpy as np
import pytest

from rvmae_jax import export as export_lib
from rvmae_jax import weights
from rvmae_jax.config_utils import token_size
from rvmae_jax.data.pipeline import batch_spec
from rvmae_jax.interop import hugging_face, rvm_released, state_dict
from rvmae_jax.models import build_model
from rvmae_jax.training.checkpointing import Checkpointer, load_params
from rvmae_jax.training.state import TrainState

CONFIG = ml_collections.ConfigDict(
  {
    'model': {
      'name': 'rvm',
      'variant': 'tiny',
      'width': 32,
      'decoder_width': 16,
      'patch_size': 8,
      'scan_layers': False,
    },
    'data': {
      'sources': {'noise': {'name': 'fake'}},
      'clip': {'name': 'source_target', 'num_source': 2, 'num_target': 1},
      'crop': {'size': (16, 24)},
      'mask': {'name': 'target', 'ratio': 0.8},
    },
    'checkpoint': {'every_steps': 1, 'keep_last': 1, 'keep_every': 0},
  }
).lock()


@pytest.fixture(name='params', scope='module')
def _params():
  model = build_model(CONFIG.model)
  spec = batch_spec(CONFIG.data, 1, CONFIG.model.patch_size)
  shapes = jax.eval_shape(model.init, jax.random.key(0), spec)['params']
  rng = np.random.default_rng(0)
  return jax.tree.map(lambda x: rng.random(x.shape, np.float32), shapes)


@pytest.fixture(name='run', scope='module')
def _run(params, tmp_path_factory):
  """A workdir with a checkpoint; its EMA is minus the parameters."""
  workdir = tmp_path_factory.mktemp('run')
  state = TrainState(
    step=np.int32(3),
    params=params,
    opt_state=(),
    ema_params=jax.tree.map(lambda leaf: -leaf, params),
    num_skipped=np.int32(0),
  )
  with Checkpointer(workdir, CONFIG) as checkpointer:
    checkpointer.save(3, state, None)
  return workdir


@pytest.fixture(params=['.npz', '.safetensors'])
def out(request, tmp_path):
  return tmp_path / 'new folder' / f'weights{request.param}'


def test_the_importer_gives_the_same_parameters_back(run, params, out):
  export_lib.export(run, out)
  back = rvm_released.from_released(weights.read_arrays(out), params)
  jax.tree.map(np.testing.assert_array_equal, back, dict(params))


def test_a_file_is_loaded_like_the_run_it_came_from(run, out):
  export_lib.export(run, out)
  params, config = load_params(out, load_file=weights.read_params)
  run_params, run_config = load_params(run)
  jax.tree.map(np.testing.assert_array_equal, params, run_params)
  assert config.to_dict() == run_config.to_dict()


def test_the_encoder_part_is_a_part_of_the_whole(run, out):
  export_lib.export(run, out)
  whole = weights.read_arrays(out)
  export_lib.export(run, out, part='encoder')
  encoder = weights.read_arrays(out)
  for name, array in encoder.items():
    np.testing.assert_array_equal(array, whole[name])
  assert {n.split('/')[0] for n in whole.keys() - encoder.keys()} == {
    'decoder',
    'decoder_embedder',
    'delta_embedder',
    'detokenizer',
    'mask_token',
  }


def test_the_ema_can_be_taken_instead(run, params, out):
  export_lib.export(run, out, ema=True)
  np.testing.assert_array_equal(
    weights.read_arrays(out)['cls_token'], -params['cls_token']['token']
  )


def test_a_failed_export_leaves_the_old_file_alone(run, out, monkeypatch):
  export_lib.export(run, out)
  before = out.read_bytes()
  monkeypatch.setattr(weights, 'read_arrays', lambda path: {})
  with pytest.raises(OSError, match='do not read back'):
    export_lib.export(run, out, ema=True)
  assert out.read_bytes() == before
  assert list(out.parent.iterdir()) == [out]


def test_an_unknown_suffix_is_answered_with_the_known_ones(run, tmp_path):
  with pytest.raises(
    ValueError, match=r'rvm is exported to \.npz, \.safetensors'
  ):
    export_lib.export(run, tmp_path / 'weights.pth')


def test_the_command_says_what_it_wrote(run, params, out, capsys):
  export_lib.main(['--checkpoint', str(run), '--out', str(out)])
  num_values = sum(leaf.size for leaf in jax.tree.leaves(params))
  assert f'arrays, {num_values / 1e6:.2f} M values' in capsys.readouterr().out


@pytest.mark.parametrize('part', ['all', 'encoder'])
def test_loads_as_a_network_that_encodes(run, params, tmp_path, part):
  out = tmp_path / 'weights.npz'
  export_lib.export(run, out, part=part)
  model, loaded = weights.load_model(out)
  video = np.zeros((1, 2, 16, 24, 3), np.uint8)
  want = build_model(CONFIG.model).apply(
    {'params': params}, video, method='encode'
  )
  got = model.apply({'params': loaded}, video, method='encode')
  np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize('part', ['all', 'encoder'])
def test_positions_that_no_array_tells_are_warned_of_and_kept(
  params, out, part, tmp_path, caplog
):
  """The network of the quick start: only the note in its file tells them."""
  config = ml_collections.ConfigDict(CONFIG.to_dict())
  places = {
    'position': 'sincos_2d',
    'position_base': 5.0,
    'position_grid': (4, 4),
  }
  config.model.update(places)
  state = TrainState(np.int32(1), params, (), None, np.int32(0))
  with Checkpointer(tmp_path / 'run', config) as checkpointer:
    checkpointer.save(1, state, None)
  with caplog.at_level('WARNING'):
    export_lib.export(tmp_path / 'run', out, part=part)
  assert "position='sincos_2d', which no array shows" in caplog.text
  model, loaded = weights.load_model(out)
  assert {field: getattr(model, field) for field in places} == places
  video = np.zeros((1, 1, 16, 24, 3), np.uint8)
  want, flat = (
    build_model(fields).apply({'params': params}, video, method='encode')
    for fields in (config.model, CONFIG.model)
  )
  got = model.apply({'params': loaded}, video, method='encode')
  np.testing.assert_array_equal(got, want)
  assert np.abs(want - flat).max() > 1e-3


def test_a_network_like_the_released_ones_goes_without_a_warning(
  run, out, caplog
):
  with caplog.at_level('WARNING'):
    export_lib.export(run, out)
  assert 'looks like a released RVM' not in caplog.text


FAMILY = {
  'videomae': {'space_time': 'joint', 'tubelet_size': 2},
  'vit_mae': {
    'space_time': 'per_frame',
    'tubelet_size': 1,
    'num_prefix_tokens': 1,
    'position': 'sincos_2d',
    'key_bias': True,
    'embedding_bias': True,
  },
}


@pytest.fixture(name='family_run', params=FAMILY)
def _family_run(request, tmp_path):
  """A workdir of a network that Hugging Face has too, and its parameters."""
  config = ml_collections.ConfigDict(CONFIG.to_dict())
  config.model = {
    'name': 'videomae',
    'variant': 'tiny',
    'patch_size': 8,
    'activation': 'silu',
    'norm_eps': 1e-5,
    'pixel_mean': (0.3, 0.5, 0.7),
    **FAMILY[request.param],
  }
  config.data.clip = {'name': 'uniform', 'num_frames': 2}
  config.data.mask = {'name': 'per_frame', 'ratio': 0.5}
  spec = batch_spec(config.data, 1, **token_size(config.model))
  model = build_model(config.model)
  shapes = jax.eval_shape(model.init, jax.random.key(0), spec)['params']
  rng = np.random.default_rng(0)
  params = jax.tree.map(lambda x: rng.random(x.shape, np.float32), shapes)
  state = TrainState(np.int32(1), params, (), None, np.int32(0))
  with Checkpointer(tmp_path / 'run', config) as checkpointer:
    checkpointer.save(1, state, None)
  return tmp_path / 'run', config, params


@pytest.mark.parametrize('suffix', ['.safetensors', '.bin', '.pth'])
def test_the_videomae_family_goes_under_names_of_others(family_run, suffix):
  """Those of Hugging Face with a config.json, or those of the paper's code."""
  run, config, params = family_run
  out = run.parent / 'out' / f'model{suffix}'
  export_lib.export(run, out)
  is_original = suffix == '.pth'
  origin, _ = hugging_face.find_origin(state_dict.read(out))
  assert origin is hugging_face.origin_of(config.model, is_original)
  assert out.with_name('config.json').exists() != is_original
  model, loaded = weights.load_model(out)
  # A .bin has no note of ours: what is beside it tells all but the positions.
  if suffix == '.bin':
    assert model.pixel_mean == (0.3, 0.5, 0.7)
    assert (model.activation, model.norm_eps) == ('silu', 1e-5)
  else:
    assert model == build_model(config.model)
  assert model.encoder_heads == 4
  if model.position == 'learned':  # A table of ViTMAE's may be any.
    del loaded['positions'], loaded['decoder']['positions']
  jax.tree.map(np.testing.assert_array_equal, loaded, params)


def test_config_json_tells_what_from_pretrained_needs(family_run):
  run, config, _ = family_run
  out = run.parent / 'out'
  export_lib.export(run, out / 'model.safetensors')
  written = json.loads((out / 'config.json').read_text())
  is_video = config.model.space_time == 'joint'
  assert written['model_type'] == ('videomae' if is_video else 'vit_mae')
  assert written['image_size'] == [16, 24]
  assert (written['hidden_size'], written['num_attention_heads']) == (128, 4)
  assert written.get('num_frames') == (2 if is_video else None)


def test_config_json_has_the_frames_of_a_wrapped_clip(family_run, monkeypatch):
  run, config, params = family_run
  config.data.clip = {'name': 'playback', 'clip': config.data.clip.to_dict()}
  monkeypatch.setattr(weights, 'load', lambda *_, **__: (params, config))
  export_lib.export(run, run.parent / 'out' / 'model.safetensors')
  written = json.loads((run.parent / 'out' / 'config.json').read_text())
  is_video = config.model.space_time == 'joint'
  assert written.get('num_frames') == (2 if is_video else None)


@pytest.mark.parametrize('normalize', ['none', 'own'])
def test_whether_targets_were_normalised_goes_there_and_back(
  family_run, normalize, monkeypatch
):
  run, config, params = family_run
  if normalize == 'own':  # That of the paper.
    is_video = config.model.space_time == 'joint'
    normalize = 'channel' if is_video else 'patch'
  config.objective = {'name': 'masked_reconstruction', 'normalize': normalize}
  monkeypatch.setattr(weights, 'load', lambda *_, **__: (params, config))
  out = run.parent / 'out'
  export_lib.export(run, out / 'pytorch_model.bin')
  written = json.loads((out / 'config.json').read_text())
  assert written['norm_pix_loss'] == (normalize != 'none')
  # Without a note of ours, config.json alone tells.
  _, back = weights.read_params(out / 'pytorch_model.bin')
  assert back.objective.normalize == normalize


def test_the_videomae_family_has_no_other_format(family_run):
  with pytest.raises(ValueError, match=r'as a whole to \.safetensors, \.bin'):
    export_lib.export(family_run[0], family_run[0] / 'model.npz')


def test_a_network_that_nobody_else_has_is_refused(run, monkeypatch):
  config = ml_collections.ConfigDict(CONFIG.to_dict())
  config.model = {'name': 'videomae', 'space_time': 'divided'}
  monkeypatch.setattr(weights, 'load', lambda *_, **__: ({}, config))
  with pytest.raises(ValueError, match=r"'sincos_1d'\) has no layout"):
    export_lib.export(run, run / 'model.safetensors')


@pytest.mark.parametrize('suffix', ['.safetensors', '.pth'])
@pytest.mark.parametrize('field', ['key_bias', 'embedding_bias'])
def test_biases_that_others_leave_out_are_refused(
  tmp_path, monkeypatch, suffix, field
):
  model = {'name': 'videomae', 'tubelet_size': 2, field: True}
  config = ml_collections.ConfigDict({'model': model})
  monkeypatch.setattr(weights, 'load', lambda *_, **__: ({}, config))
  with pytest.raises(ValueError, match=f'no place for the biases of {field}'):
    export_lib.export('run', tmp_path / f'model{suffix}')


@pytest.mark.parametrize('suffix', ['.npz', '.safetensors'])
@pytest.mark.parametrize(
  ('model', 'who'),
  [
    ({'name': 'rvmae'}, 'rvmae'),
    ({'name': 'classifier', 'backbone': 'rvm'}, 'classifier on rvm'),
  ],
)
def test_what_no_suffix_holds_is_not_answered_with_suffixes(
  tmp_path, monkeypatch, suffix, model, who
):
  config = ml_collections.ConfigDict({'model': model})
  monkeypatch.setattr(weights, 'load', lambda *_, **__: ({}, config))
  with pytest.raises(ValueError, match=f'of {who} has no layout .* the folder'):
    export_lib.export('run', tmp_path / f'model{suffix}')


def _files(folder):
  return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_export_again_replaces_its_own_file_alone(family_run):
  run, _, _ = family_run
  out = run.parent / 'out' / 'model.safetensors'
  export_lib.export(run, out)
  first = _files(out.parent)
  assert first.keys() == {
    'model.safetensors',
    'config.json',
    'preprocessor_config.json',
  }
  arrays = weights.read_arrays(out)
  out.write_bytes(b'old')
  export_lib.export(run, out)
  again = _files(out.parent)
  again['model.safetensors'] = first['model.safetensors']
  assert again == first
  # The library does not write its header in the same order each time.
  jax.tree.map(np.testing.assert_array_equal, weights.read_arrays(out), arrays)


@pytest.mark.parametrize('suffix', ['.safetensors', '.bin'])
@pytest.mark.parametrize(
  ('name', 'content'),
  [
    ('config.json', '{"model_type": "videomae", "hidden_size": 7}'),
    ('config.json', 'not even JSON'),
    ('preprocessor_config.json', '{"image_mean": [0, 0, 0]}'),
    ('video_preprocessor_config.json', '{}'),
    ('processor_config.json', '{"image_processor": {}}'),
  ],
)
def test_settings_of_others_are_not_replaced(
  family_run, tmp_path, name, content, suffix
):
  run, _, _ = family_run
  (tmp_path / 'out').mkdir()
  (tmp_path / 'out' / name).write_text(content)
  before = _files(tmp_path / 'out')
  with pytest.raises(FileExistsError, match=f'{name} describes another'):
    export_lib.export(run, tmp_path / 'out' / f'mine{suffix}')
  assert _files(tmp_path / 'out') == before


@pytest.mark.parametrize(
  'name',
  [
    'model.safetensors.index.json',
    'pytorch_model.bin',
    'pytorch_model.bin.index.json',
  ],
)
def test_a_folder_keeps_the_weights_that_it_stands_for(run, tmp_path, name):
  (tmp_path / name).touch()
  with pytest.raises(FileExistsError, match=f'holds {name}, and a program'):
    export_lib.export(run, tmp_path / 'model.safetensors')
  assert [path.name for path in tmp_path.iterdir()] == [name]
  # A name of its own does no harm.
  export_lib.export(run, tmp_path / 'rvm.safetensors')


def test_a_run_keeps_its_config(family_run):
  run, config, _ = family_run
  (run / 'config.json').write_text('{}')
  before = (run / 'config.json').read_bytes()
  with pytest.raises(FileExistsError, match='is the folder of a run'):
    export_lib.export(run, run / 'model.safetensors')
  assert (run / 'config.json').read_bytes() == before
  # Nor does a file with that name hide the run.
  (run / 'model.safetensors').touch()
  assert weights.load(run)[1].to_dict() == config.to_dict()


def test_the_command_writes_an_artifact_and_says_what_is_in_it(
  run, tmp_path, capsys
):
  out = tmp_path / 'rvm.stablehlo'
  export_lib.main(
    ['--checkpoint', str(run), '--out', str(out), '--ema', '--size', '8x16']
  )
  said = capsys.readouterr().out
  assert 'step, ' in said
  assert 'rvm.stablehlo.json says how' in said
  note = json.loads((tmp_path / 'rvm.stablehlo.json').read_text())
  assert note['inputs']['frame']['shape'] == ['batch', 8, 16, 3]
  assert note['config']['model']['width'] == 32
  assert (note['weights'], note['kernels']) == ('ema', 'float32')
  assert note['licences'] == {
    'weights': '',
    'training_videos': {},
    'unknown_origin': '',
  }
  assert note['versions']['jax'] == jax.__version__


_MANIFEST = {
  'sources': [
    {
      'alias': 'videos',
      'run': 'runs/first',
      'provenance': {'licence': {'CC BY-NC 4.0': 1000}},
    },
    {'alias': 'videos', 'provenance': {'licence': {'CC0': 10}}},
  ],
  'unknown_origin': 'weights.npz',
}


def test_the_note_of_a_classifier_names_all_its_classes(
  run, tmp_path, monkeypatch
):
  """Of two sources, the first may know but some of them."""
  program = types.SimpleNamespace(function='classify')
  learned = {'first': ['walk'], 'second': ['walk', 'run']}
  for module, name, value in (
    (export_lib, 'build_program', program),
    (export_lib, 'environment', {}),
    (export_lib.manifest, 'find_run', run),
    (export_lib.manifest, 'read', _MANIFEST),
    (export_lib.manifest, 'learned_classes', learned),
  ):
    monkeypatch.setattr(module, name, lambda *_, value=value, **__: value)
  monkeypatch.setattr(export_lib.writing, 'write', lambda *args: args[-1])
  note = export_lib.export_artifact(run, tmp_path / 'x.onnx')
  assert note['class_names'] == ['walk', 'run']
  # Those of the run that it began with bind as well.
  assert note['licences']['training_videos'] == {
    'videos (of runs/first)': {'CC BY-NC 4.0': 1000},
    'videos': {'CC0': 10},
  }
  assert note['licences']['unknown_origin'] == 'weights.npz'


@pytest.mark.parametrize(
  ('out', 'flags', 'problem'),
  [
    ('rvm.onnx', ['--part', 'encoder'], '--part does nothing'),
    ('rvm.npz', ['--function', 'step'], '--function does nothing'),
    ('rvm.onnx', ['--pooling', 'mean'], '--pooling does nothing without'),
    ('rvm.onnx', ['--size', '32'], "--size: '32' is not HEIGHTxWIDTH"),
    ('rvm.onnx', ['--size', '0x32'], "--size: '0x32' is not HEIGHTxWIDTH"),
  ],
)
def test_what_would_do_nothing_is_refused(
  run, tmp_path, capsys, out, flags, problem
):
  with pytest.raises(SystemExit):
    export_lib.main(
      ['--checkpoint', str(run), '--out', str(tmp_path / out), *flags]
    )
  assert problem in capsys.readouterr().err


def test_a_file_in_a_bucket_is_refused(run, capsys):
  with pytest.raises(SystemExit):
    export_lib.main(['--checkpoint', str(run), '--out', 'gs://bucket/rvm.npz'])
  told = capsys.readouterr().err
  assert '--out=gs://bucket/rvm.npz: files are written to local disks' in told


def test_an_error_is_told_without_a_trace(tmp_path, capsys):
  out = tmp_path / 'rvm.npz'
  arguments = ['--checkpoint', str(tmp_path / 'none'), '--out', str(out)]
  assert export_lib.main(arguments) == 2
  told = capsys.readouterr().err
  assert told.startswith('export: ') and str(tmp_path / 'none') in told
  assert not out.exists()


def test_a_function_that_a_network_lacks_leaves_nothing(run, tmp_path):
  with pytest.raises(ValueError, match='gives features and no classes'):
    export_lib.export_artifact(run, tmp_path / 'x.onnx', function='classify')
  with pytest.raises(ValueError, match=r'num_frames=8 does nothing for a step'):
    export_lib.export_artifact(run, tmp_path / 'x.onnx', num_frames=8)
  assert list(tmp_path.iterdir()) == []


@pytest.fixture(name='kept')
def _kept(tmp_path, monkeypatch):
  """What is uploaded."""
  kept = tmp_path / 'kept'

  def upload(folder, address, private):
    shutil.copytree(folder, kept)
    return f'{address} {private}'

  monkeypatch.setattr(export_lib.hub, 'upload', upload)
  return kept


def test_a_repository_gets_the_card_of_the_run(
  run, tmp_path, kept, monkeypatch
):
  """The one that somebody wrote, or else one that says what is known."""
  monkeypatch.setattr(export_lib.manifest, 'find_run', lambda _: tmp_path)
  monkeypatch.setattr(
    export_lib.model_card,
    'write_card',
    lambda run, found, texts: f'# Made in {run}: {found} {texts}',
  )
  metrics = tmp_path / 'evaluation' / 'metrics.json'
  metrics.parent.mkdir()
  digest = weights.params_digest(weights.load(run)[0])
  metrics.write_text(json.dumps({'weights': digest}))
  for ema, found in ((False, [metrics.parent]), (True, [])):
    export_lib.push(run, 'hf://org/net', ema=ema, licence='mit')
    assert f"{tmp_path}: {found} {{'weights_licence': 'mit'}}" in _card(kept)
    shutil.rmtree(kept)
  (tmp_path / 'MODEL_CARD.md').write_text('# Mine\n')
  export_lib.push(run, 'hf://org/net')
  assert '\n# Mine\n' in _card(kept)
  assert 'Made in' not in _card(kept)


def _card(folder):
  return (folder / 'README.md').read_text()


def test_a_repository_gets_weights_config_and_card(run, params, kept):
  found = export_lib.push(
    run, 'hf://org/net', licence='cc-by-4.0', private=True
  )
  assert found == 'hf://org/net True'
  names = {path.name for path in kept.iterdir()}
  assert names == {'model.safetensors', 'config.json', 'README.md'}
  card = _card(kept)
  assert card.startswith('---\nlibrary_name: rvmae_jax\n')
  assert 'license: cc-by-4.0' in card
  assert "load_model('hf://org/net')" in card
  loaded, config = weights.load(kept)
  jax.tree.map(np.testing.assert_array_equal, loaded, params)
  assert config.model == CONFIG.model
