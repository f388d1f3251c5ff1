"""Which evaluations suit a run: not all runs rebuild the same frames."""

from collections.abc import Mapping
from typing import Any

from rvmae_jax.evals import EVALS

_FRAMES = {
  'target': 'target frames',
  'video': 'hidden parts of clips',
  '': 'nothing',
}


def unfit_evals(
  entries: Mapping[str, Mapping[str, Any]], rebuilt: str
) -> dict[str, str]:
  """Evaluations that do not suit what a run rebuilds.

  An evaluation that watches a network rebuild says in its attribute `rebuilds`
  what frames it wants, so a config may list one of each kind.

  Args:
    entries: evaluation alias -> its config.
    rebuilt: what the run rebuilds: 'target', 'video' or ''.

  Returns:
    Alias -> why it is left out.
  """
  unfit = {}
  for alias, entry in entries.items():
    wanted = getattr(EVALS.get(entry['name']), 'rebuilds', (rebuilt,))
    if rebuilt not in wanted:
      unfit[alias] = (
        f'it is about rebuilt {" or ".join(_FRAMES[w] for w in wanted)}, and '
        f'this run rebuilds {_FRAMES[rebuilt]}'
      )
  return unfit
