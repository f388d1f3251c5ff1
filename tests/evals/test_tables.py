"""Numbers as tables."""

from rvmae_jax.evals.tables import format_tables, pivot

_METRICS = {'chance': 0.25, 'a/x/top1': 1.0, 'a/x/top5': 1, 'b/top1': 0.5}


def test_rows_with_equal_columns_share_a_table():
  assert pivot(_METRICS | {'c/top1': 0.75}) == [
    (['chance'], {'': [0.25]}),
    (['top1', 'top5'], {'a/x': [1.0, 1]}),
    (['top1'], {'b': [0.5], 'c': [0.75]}),
  ]


def test_columns_are_aligned():
  lines = format_tables({'a/top1': 1, 'long/top1': 0.125}).splitlines()
  assert lines == ['         top1', '  a         1', '  long  0.125']
