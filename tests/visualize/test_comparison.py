"""The picture of a comparison: names that can be read, lines and points."""

from rvmae_jax.visualize.comparison import draw_comparison, spread


def _row(method, accuracy, std=None, **figures):
  return {
    'method': method,
    'mean': {'top1': accuracy, **figures},
    'std': {'top1': std},
  }


def test_names_keep_their_distance_around_their_mean():
  assert spread([1, 2, 10, 10.5, 11], apart=2) == [0.5, 2.5, 8.5, 10.5, 12.5]
  assert spread([1, 4], apart=2) == [1, 4]


def test_methods_are_named_with_their_accuracy():
  figure = draw_comparison(
    [
      _row('trained', 0.8, 0.1, flops=1e13),
      _row('random', 0.2, flops=0),
      _row('uncounted', 0.5),
    ],
    'top1',
    'probe',
    'flops',
  )
  figure.draw_without_rendering()
  [axes] = figure.axes
  assert axes.get_ylabel() == 'probe, %'
  assert [t.get_text() for t in axes.texts] == ['random  20.0', 'trained  80.0']
