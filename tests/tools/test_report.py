"""The report: one file, its numbers, and what it says when there are none."""

import copy
import html.parser
import json
import sys

import pytest

from rvmae_jax import visualize
from rvmae_jax.tools import report
from rvmae_jax.tools.report import write_report

_CONFIG = {
  'model': {'name': 'rvm', 'variant': 'tiny'},
  'total_steps': 100,
  'batch_size': 16,
  'data': {'sources': {'videos': {'name': 'moving_sprites'}}},
}
_RECONSTRUCTION = {
  'num_videos': 504,
  **{
    f'gap_{gap}/{method}/{quantity}': value + number
    for gap, value in ((1, 20.0), (4, 18.0))
    for number, method in enumerate(('mean_colour', 'copy_last', 'model'))
    for quantity in ('psnr_hidden', 'ssim_hidden')
  },
  'gap_1/gain_db': 1.0,
  'gap_4/gain_db': 1.0,
}
_PROBE = {
  'chance': 1 / 12,
  'num_classes': 12,
  'num_train': 1500,
  'num_test': 400,
  'trained/mean_std_8/top1': 0.798,
  'random/mean_std_8/top1': 0.357,
  'pixels/mean_std_8/top1': 0.216,
}


_CLIP_RECONSTRUCTION = {
  'num_videos': 7,
  'gain_db': 3.0,
  **{
    f'{method}/{quantity}': 20.125 + number
    for number, method in enumerate(('mean_colour', 'copy_time', 'model'))
    for quantity in ('psnr_hidden', 'ssim_hidden')
  },
}


class _Page(html.parser.HTMLParser):
  """Addresses that a page asks for, and tags that are left open."""

  def __init__(self, text: str):
    super().__init__()
    self.addresses, self.open = [], []
    self.feed(text)

  def handle_starttag(self, tag, attrs):
    self.addresses += [v for k, v in attrs if k in ('src', 'href')]
    if tag not in ('meta', 'img'):
      self.open.append(tag)

  def handle_endtag(self, tag):
    assert self.open.pop() == tag


@pytest.fixture
def run(tmp_path):
  """A function that writes a run with the given results, and its report."""

  def write(leakage=None, **metrics):
    (tmp_path / 'config.json').write_text(json.dumps(_CONFIG))
    lines = [{'step': s, 'loss': 1 / s} for s in range(1, 9)]
    (tmp_path / 'metrics.jsonl').write_text('\n'.join(map(json.dumps, lines)))
    evaluation = tmp_path / 'evaluation'
    evaluation.mkdir(exist_ok=True)
    results = {
      name: {
        'name': name,
        'metrics': numbers,
        'seconds': 1.0,
        'pictures': [],
      }
      for name, numbers in metrics.items()
    }
    if leakage:
      results['linear_probe']['leakage'] = leakage
    if metrics.get('linear_probe'):
      [path] = visualize.draw('linear_probe', {}, _PROBE, evaluation)
      results['linear_probe']['pictures'] = [path.name]
    (evaluation / 'metrics.json').write_text(
      json.dumps({'evaluations': results, 'command': 'evaluate <it>'})
    )
    write_report(tmp_path, evaluation, tmp_path / 'report.html')
    return (tmp_path / 'report.html').read_text()

  return write


def test_numbers_stand_beside_their_baselines(run):
  text = run(reconstruction=_RECONSTRUCTION, linear_probe=_PROBE)
  assert '<td>4</td><td>18.00</td><td>19.00</td><td><b>20.00</b></td>' in text
  assert '<td><b>79.8</b></td><td>35.7</td><td></td><td>21.6</td>' in text
  assert '1.0 dB better' in text
  assert 'the best baseline, random weights, of 35.7%' in text
  assert 'at most 2.5 points' in text  # 0.5 / sqrt(400)


def test_a_run_that_may_have_collapsed_is_told_first(run, tmp_path):
  run(linear_probe=_PROBE)
  lines = [
    {'step': step, 'loss': 1.0, 'core/state_change': 0.5 if step < 3 else 0.001}
    for step in range(1, 9)
  ]
  path = tmp_path / 'metrics.jsonl'
  path.write_text('\n'.join(map(json.dumps, lines)))
  write_report(tmp_path, tmp_path / 'evaluation', tmp_path / 'report.html')
  text = (tmp_path / 'report.html').read_text()
  told = text.index('may have collapsed.</b> Steps 3 to 8: core/state_change')
  assert told < text.index('A linear probe of its features')


def test_a_run_in_a_bucket_is_reported_there(run, bucket):
  text = run(reconstruction=_RECONSTRUCTION, linear_probe=_PROBE)
  (bucket / 'report.html').unlink()
  folder = 'gs://bucket'
  write_report(folder, f'{folder}/evaluation', f'{folder}/report.html')
  assert (bucket / 'report.html').read_text() == text


def test_deviations_and_what_the_network_alone_is_asked(run):
  probe = _PROBE | {
    'trained/mean_std_8/top1_std': 0.012,
    'trained/mean_std_8/validation_top1': 0.81,
    'trained/mean_std_8/ece': 0.05,
  }
  text = run(linear_probe=probe)
  assert '<td><b>79.8 ± 1.2</b></td>' in text
  assert '<td>81.0</td><td>5.0</td>' in text


def test_probes_of_other_videos_say_so(run):
  other = _PROBE | {'num_classes': 5, 'num_train': 90, 'num_test': 100}
  text = run(linear_probe=_PROBE, knn=other)
  assert (
    'linear probe: 12 classes; 1500 training and 400 test videos (standard '
    'error at most 2.5 points). kNN: 5 classes; 90 training and 100 test '
    'videos (standard error at most 5.0 points).'
  ) in text
  assert '>12 classes; 1500' in run(linear_probe=_PROBE, knn=_PROBE)


def test_retrieval_shows_the_best_in_bold(run):
  columns = {'recall_at_1': 0.5, 'recall_at_5': 0.75}
  names = {'trained/mean': 0.4, 'random/mean': 0.2, 'chance': 0.1}
  numbers = {'num_queries': 9, 'num_gallery': 8}
  for name, precision in names.items():
    row = {**columns, 'map': precision}
    numbers |= {f'{name}/{key}': value for key, value in row.items()}
  text = run(retrieval=numbers)
  assert '<th>Recall@1</th><th>Recall@5</th><th>mAP</th>' in text
  assert '<td>50.0</td><td>75.0</td><td>20.0</td>' in text
  assert '<td><b>50.0</b></td><td><b>75.0</b></td><td><b>40.0</b></td>' in text


def test_what_no_section_lists_has_one_of_its_own(run):
  numbers = {'num_videos': 1200, 'random/speed': 2.5, 'trained/speed': 3.5}
  text = run(strange_new=numbers)
  assert '<h2>Strange new</h2>' in text
  assert '<td>random weights</td><td>2.5</td>' in text
  assert '>num videos 1,200</p>' in text


def test_is_one_well_formed_file_without_network(run):
  page = _Page(run(reconstruction=_RECONSTRUCTION, linear_probe=_PROBE))
  assert not page.open
  assert len(page.addresses) == 2  # accuracies, curves
  assert all(a.startswith('data:image/png;base64,') for a in page.addresses)


def test_without_matplotlib_curves_are_left_out(run, monkeypatch):
  assert 'Curves of training' in run()
  monkeypatch.setitem(sys.modules, 'matplotlib', None)
  assert 'Curves of training' not in run()


def test_a_run_that_was_stopped_tells_how_far_it_came(run):
  assert '8 of 100 steps of 16 clips (128 in all)' in run()


def test_without_a_log_no_step_is_made_up(run, tmp_path):
  run()
  (tmp_path / 'metrics.jsonl').unlink()
  write_report(tmp_path, None, tmp_path / 'report.html')
  text = (tmp_path / 'report.html').read_text()
  assert '100 steps of 16 clips' in text and 'done is not known' in text
  assert 'in all' not in text


def test_a_run_that_was_stopped_before_its_first_line_says_so(run, tmp_path):
  run()
  (tmp_path / 'metrics.jsonl').write_text('')
  write_report(tmp_path, None, tmp_path / 'report.html')
  text = (tmp_path / 'report.html').read_text()
  assert '0 of 100 steps of 16 clips (0 in all)' in text


def test_text_is_escaped(run):
  assert 'evaluate &lt;it&gt;' in run()


def test_says_that_videos_carry_no_labels(run):
  text = run(reconstruction=_RECONSTRUCTION, knn={}, linear_probe={})
  assert 'carry no labels' in text
  assert 'chance' not in text


def test_a_folder_without_a_run_is_an_error(tmp_path):
  with pytest.raises(FileNotFoundError, match='No config'):
    write_report(tmp_path, tmp_path, tmp_path / 'report.html')


@pytest.mark.parametrize(
  ('other', 'why'),
  [
    ({'run_config': _CONFIG | {'seed': 7}}, 'another run .* differs in seed'),
    ({'untrained': True}, 'with random weights'),
  ],
)
def test_numbers_of_another_network_are_refused(run, tmp_path, other, why):
  run(linear_probe=_PROBE)
  path = tmp_path / 'evaluation/metrics.json'
  path.write_text(json.dumps(json.loads(path.read_text()) | other))
  with pytest.raises(ValueError, match=why):
    write_report(tmp_path, None, tmp_path / 'report.html')


def test_an_evaluation_that_is_named_must_be_there(run, tmp_path):
  run()
  with pytest.raises(FileNotFoundError, match=r'in .*evalution; --eval'):
    write_report(tmp_path, tmp_path / 'evalution', tmp_path / 'report.html')


def test_a_picture_that_is_gone_is_told(run, tmp_path):
  run(linear_probe=_PROBE)
  (tmp_path / 'evaluation/accuracies.png').unlink()
  write_report(tmp_path, None, tmp_path / 'report.html')
  text = (tmp_path / 'report.html').read_text()
  assert 'The picture accuracies.png is not there any more.' in text
  assert '79.8' in text


def test_gains_of_every_evaluation_are_drawn(run, tmp_path, monkeypatch):
  drawn = []
  draw = report.draw_curves
  monkeypatch.setattr(
    report, 'draw_curves', lambda *a: drawn.append(a[1]) or draw(*a)
  )
  names = ('near/gap_4/gain_db', 'far/gap_4/gain_db', 'clips/gain_db')
  run()
  log = tmp_path / 'metrics.jsonl'
  for aliases, labels in (
    (names, ['near, gap 4', 'far, gap 4', 'clips']),
    (names[:1], ['gap 4']),
  ):
    line = {'step': 1, 'loss': 1.0, **dict.fromkeys(aliases, 2.0)}
    log.write_text(json.dumps(line))
    write_report(tmp_path, None, tmp_path / 'report.html')
    *_, gains = drawn[-1].values()
    assert [*gains] == labels


def test_rebuilt_clips_have_a_table_of_their_own(run):
  report = run(clip_reconstruction=_CLIP_RECONSTRUCTION)
  assert 'On the hidden tubelets of 7 videos' in report
  for number in ('20.12', '21.12', '22.12'):
    assert f'>{number}</td>' in report


def test_coherence_has_a_table_where_it_was_measured(run):
  coherence = {
    'model/difference_error_hidden': 0.25,
    'model/warped_error_hidden': 0.125,
    'ratio_0.5/model/difference_error_hidden': 9.0,
    'true/warped_error_hidden': 0.0625,
  }
  report = run(clip_reconstruction={**_CLIP_RECONSTRUCTION, **coherence})
  assert '<td>model</td><td>0.25</td><td>0.125</td>' in report
  assert '<td>true</td><td></td><td>0.0625</td>' in report
  assert 'whole frames hidden' not in report
  assert 'frame to frame' not in run(clip_reconstruction=_CLIP_RECONSTRUCTION)


def test_numbers_of_videos_that_were_trained_on_are_marked(run):
  leak = {'num_shared': 3, 'num_videos': 9, 'examples': ['a.mp4']}
  text = run(leakage=leak, linear_probe=_PROBE)
  assert '<b>Trained on test videos</b>' in text
  assert '<b>Not to be trusted:</b> linear_probe' in text
  assert 'linear_probe: 3 of its 9 test videos were trained on.' in text
  assert 'rained on' not in run(linear_probe=_PROBE)


def test_names_of_people_are_no_markup(run, tmp_path):
  """Aliases, classes, paths, sizes and commands: each could hold anything."""
  hostile = '<script>&'
  config = copy.deepcopy(_CONFIG)
  config['model']['variant'] = hostile
  config['data']['sources'] = {'videos': {'name': 'folder', 'path': hostile}}
  result = {
    'name': f'strange{hostile}',
    'metrics': {f'{hostile}/{hostile}': 1.0},
    'seconds': 1.0,
    'pictures': [],
    'leakage': {'num_shared': 3, 'num_videos': 9, 'examples': [hostile]},
  }
  results = {
    hostile: result,
    'empty': result | {'name': 'accuracy', 'metrics': {}},
    f'other {hostile}': result | {'name': 'accuracy'},
  }
  (tmp_path / 'config.json').write_text(json.dumps(config))
  (tmp_path / 'command.txt').write_text(hostile)
  (tmp_path / 'metrics.json').write_text(
    json.dumps({'evaluations': results, 'environment': {hostile: hostile}})
  )
  write_report(tmp_path, tmp_path, tmp_path / 'report.html')
  text = (tmp_path / 'report.html').read_text()
  page = _Page(text)
  assert not page.open
  assert '<script' not in text and '&amp;lt;' not in text
  assert text.count('&lt;b&gt;') == 0
  assert '&lt;script&gt;&amp;' in text


@pytest.mark.parametrize(
  ('file', 'content'),
  [
    ('config.json', '{"model": 3}'),
    ('config.json', '{"model"'),
    ('evaluation/metrics.json', '[]'),
    ('evaluation/metrics.json', '{"evaluations": {"knn": {"name": "knn"}}}'),
    ('metrics.jsonl', '{"step": 1, "loss": []}'),
  ],
)
def test_the_file_that_cannot_be_read_is_named(run, tmp_path, file, content):
  run(reconstruction=_RECONSTRUCTION)
  (tmp_path / file).write_text(content)
  with pytest.raises(ValueError, match=rf'{file} '):
    write_report(tmp_path, tmp_path / 'evaluation', tmp_path / 'report.html')


def test_names_that_are_no_text_are_shown_escaped(run, tmp_path):
  text = run(strange={'num_videos': 1, 'caf\udce9/speed': 2.5})
  assert 'caf\\udce9' in text
