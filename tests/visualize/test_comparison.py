"""The picture of a comparison: what of the table it shows, and where."""

from rvmae_jax.visualize.comparison import draw_comparison


def _row(method, std=None, **mean):
  return {'method': method, 'mean': mean, 'std': dict.fromkeys(mean, std)}


def test_methods_are_lines_with_accuracies_and_cost():
  rows = [
    _row('trained', 0.1, **{'probe/top1': 0.8, 'tuned': 0.9, 'flops': 2e13}),
    _row('random', **{'probe/top1': 0.2, 'probe/chance': 0.1, 'flops': 0}),
    _row('uncounted', **{'probe/top1': 0.3}),
    _row('failed'),
  ]
  names = {'probe/top1': 'probe', 'tuned': 'fine-tuned'}
  figure = draw_comparison(rows, names, 'flops')
  figure.draw_without_rendering()
  left, right = figure.axes
  names = [label.get_text() for label in left.get_yticklabels()]
  assert names == ['trained', 'random', 'uncounted']
  probe, tuned = left.containers
  assert probe.lines[0].get_xydata().tolist() == [[80, 0], [20, 1], [30, 2]]
  assert tuned.lines[0].get_xydata().tolist() == [[90, 0]]
  assert [bar.get_width() for bar in right.patches] == [20, 0]
  assert [text.get_text() for text in right.texts] == [' not counted']


def test_a_line_of_chance():
  rows = [_row('a', **{'probe/top1': 0.5, 'probe/chance': 0.25, 'clips': 8})]
  figure = draw_comparison(rows, {'probe/top1': 'probe'}, 'clips')
  labels = {line.get_label(): line for line in figure.axes[0].lines}
  assert list(labels['chance'].get_xdata()) == [25, 25]
