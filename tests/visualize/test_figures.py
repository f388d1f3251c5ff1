"""Figures draw, without a display, the panels that they promise."""

import itertools
import json
import subprocess
import sys

import numpy as np
import pytest

from rvmae_jax import visualize
from rvmae_jax.visualize import curves
from rvmae_jax.visualize.confusion import draw_confusion
from rvmae_jax.visualize.pca import pca_colours
from rvmae_jax.visualize.probes import draw_accuracies
from rvmae_jax.visualize.reconstructions import draw_reconstructions
from rvmae_jax.visualize.recurrence import draw_gates, draw_pca
from rvmae_jax.visualize.retrieval import draw_neighbours

_RNG = np.random.default_rng(0)


def _titles(figure) -> list[str]:
  axes = list(figure.axes) + [ax for part in figure.subfigs for ax in part.axes]
  return [
    title
    for ax in dict.fromkeys(axes)
    if (title := ax.get_title(loc='center') or ax.get_title(loc='left'))
  ]


def test_reconstructions_name_every_frame_and_its_psnr():
  target = np.full((1, 2, 16, 16, 3), 0.5)
  figure = draw_reconstructions(
    video=np.full((1, 2, 16, 16, 3), 0.4),
    target=target,
    rebuilt=target + 0.01,
    hidden=np.ones((1, 2, 16, 16), bool),
    gaps=np.array([1, 4]),
  )
  figure.draw_without_rendering()
  # Errors of 0.01 and, for the copy, of 0.1.
  assert _titles(figure) == [
    't\u22121', 't', 't+1', 't+4', '40.0 (20.0)', '40.0 (20.0)'
  ]  # fmt: skip


def test_three_clips_leave_no_empty_axes():
  frames = _RNG.random((3, 2, 16, 24, 3))
  figure = draw_reconstructions(
    frames, frames, frames, np.ones((3, 2, 16, 24), bool), np.array([1, 2])
  )
  figure.draw_without_rendering()
  assert [len(part.axes) for part in figure.subfigs] == [12, 12, 12, 0]


def test_pca_and_gates_have_a_row_for_each_map():
  video = _RNG.random((2, 5, 16, 24, 3))
  gate = _RNG.random((2, 5, 2, 3))
  pca = draw_pca(video, _RNG.random((2, 5, 2, 3, 8)))
  gates = draw_gates(video, gate, gate)
  pca.draw_without_rendering()
  gates.draw_without_rendering()
  assert len(pca.axes) == 2 * 2 * 5
  assert len(gates.axes) == 2 * 3 * 5 + 1  # and the colour bar


def test_pca_colours_follow_the_direction_of_largest_variance():
  features = np.zeros((4, 5))
  features[:, 2] = [0, 1, 2, 3]
  red = pca_colours(features)[:, 0]
  assert (np.diff(red) > 0).all() and red[0] == 0 and red[-1] == 1


def test_accuracies_have_a_bar_for_each_source_and_a_line_at_chance():
  accuracies = {
    (source, pooling): 0.5
    for source in ('trained', 'random', 'pixels')
    for pooling in ('mean', 'last_state')
  }
  figure = draw_accuracies(accuracies, chance=0.1)
  [axes] = figure.axes
  assert len(axes.patches) == 6
  assert axes.lines[0].get_ydata() == [10, 10]
  labels = [text.get_text() for text in axes.get_legend().get_texts()]
  assert labels == ['trained', 'random weights', 'raw pixels']


def test_accuracies_of_100_have_their_number_too():
  key = 'trained', 'mean'
  figure = draw_accuracies({key: 1.0}, chance=0.1, deviations={key: 0.05})
  figure.canvas.draw()
  [axes] = figure.axes
  [number] = [text for text in axes.texts if text.get_text() == '100']
  box, frame = number.get_window_extent(), axes.get_window_extent()
  assert frame.y0 < box.y0 and box.y1 < frame.y1


def test_confusion_names_classes_and_their_accuracy():
  figure = draw_confusion(
    np.array([[3, 1], [0, 0]]),
    np.array([[0, 4], [0, 0.9], [0, 0.75]]),
    ['left', 'right'],
    'trained, mean',
  )
  figure.draw_without_rendering()
  assert _titles(figure) == ['trained, mean', 'calibration error 15.0 %']
  matrix, bars = figure.axes
  names = [text.get_text() for text in matrix.get_yticklabels()]
  assert names == ['left  75', 'right  \u2013']
  assert [patch.get_height() for patch in bars.patches] == [75]


def test_names_of_many_classes_do_not_lie_on_each_other():
  names = [f'pretending to do something number {n}' for n in range(40)]
  bins = np.stack([np.ones(2), [0.25, 0.75], [0.25, 0.75]])
  figure = draw_confusion(np.eye(40, dtype=int), bins, names)
  figure.canvas.draw()
  matrix, _ = figure.axes
  for labels, side in (
    (matrix.get_yticklabels(), 'y'),
    (matrix.get_xticklabels(), 'x'),
  ):
    boxes = [label.get_window_extent() for label in labels]
    ends = sorted(
      (getattr(b, f'{side}0'), getattr(b, f'{side}1')) for b in boxes
    )
    assert len({label.get_text() for label in labels}) == 40
    apart = [after[0] - end for (_, end), after in itertools.pairwise(ends)]
    assert min(apart) > -1  # Pixels.


def test_long_names_of_neighbours_stay_above_their_pictures():
  frames = _RNG.integers(0, 256, (2, 4, 16, 24, 3), np.uint8)
  names = [f'pretending_to_throw_something_{end}' for end in ('in', 'out')]
  labels = np.array([0, 1])
  figure = draw_neighbours(
    frames, frames[:, None].repeat(5, 1), labels, np.zeros((2, 5), int), names
  )
  figure.canvas.draw()
  for row in (figure.axes[:6], figure.axes[6:]):
    ends = [axes.title.get_window_extent() for axes in row]
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(ends))
    assert ends[0].x0 > 0 and ends[-1].x1 < figure.bbox.x1
  titles = [axes.get_title() for axes in figure.axes]
  assert titles[0].endswith('in') and titles[6].endswith('out')


def test_history_and_its_curves(tmp_path):
  path = tmp_path / 'metrics.jsonl'
  lines = [{'step': s, 'loss': 1 / s} for s in range(1, 4)]
  lines.append({'step': 3, 'val/psnr': 20.0})
  path.write_text('\n'.join(map(json.dumps, lines)) + '\n{"step": 4, "lo')
  history = curves.read_history(path)
  assert history['loss'][0].tolist() == [1, 2, 3]
  assert history['val/psnr'][1].tolist() == [20]
  figure = curves.draw_curves(
    history, {'Loss': {'train': 'loss'}, 'Absent': {'none': 'nothing'}}
  )
  assert _titles(figure) == ['Loss']
  with pytest.raises(ValueError, match='there are: loss, val/psnr'):
    curves.draw_curves(history, {'Absent': {'none': 'nothing'}})


def test_no_curve_is_left_out():
  names = {f'gap {n}': f'gap_{n}' for n in range(5)}
  history = {name: (np.arange(3), np.ones(3)) for name in names.values()}
  [axes] = curves.draw_curves(history, {'Gain': names}).axes
  assert [line.get_label() for line in axes.lines] == [*names]


def test_draw_writes_files_and_passes_over_what_has_no_figure(tmp_path):
  metrics = {'chance': 0.5, 'trained/mean/top1': 0.75}
  [path] = visualize.draw('linear_probe', {}, metrics, tmp_path / 'new')
  assert path.read_bytes().startswith(b'\x89PNG')
  assert visualize.draw('linear_probe', {}, {}, tmp_path) == []
  assert visualize.draw('no such evaluation', {}, metrics, tmp_path) == []


def test_what_pictures_need_is_told(monkeypatch):
  monkeypatch.setitem(sys.modules, 'matplotlib', None)
  with pytest.raises(ImportError, match=r"pip install 'rvmae_jax\[vis\]'"):
    curves.draw_curves({}, {})


def test_importing_starts_no_matplotlib():
  code = (
    'import sys, rvmae_jax.visualize.recurrence, rvmae_jax.visualize.curves; '
    'sys.exit("matplotlib" in sys.modules)'
  )
  subprocess.run([sys.executable, '-c', code], check=True)
