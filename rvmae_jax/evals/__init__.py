"""Evaluations by name; each is one file here and one line in `EVALS`.

An evaluation is a class. Its constructor takes `videos` (what to read, see
`evals.videos`) and its own settings: an entry of `config.evals` without `name`,
`every_steps`, `data` and `batch_size`. Its method `run(functions, step)` gets a
network as functions (`evals.functions`) and returns a flat dict of numbers,
named from the general to the special with slashes; an empty dict means that it
had nothing to measure, and the log says why. What pictures need it leaves as
numpy arrays in its attribute `arrays`; how they are drawn is one line in
`rvmae_jax.visualize.FIGURES`. One that is about what a network rebuilds says in
`rebuilds` which frames these have to be, see `evals.fitting`.
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from rvmae_jax.registry import Registry

EVALS = Registry(
  'evaluation',
  {
    'accuracy': 'rvmae_jax.evals.accuracy:AccuracyEval',
    'attentive_probe': 'rvmae_jax.evals.attentive_probe:AttentiveProbeEval',
    'clip_reconstruction': (
      'rvmae_jax.evals.clip_reconstruction:ClipReconstructionEval'
    ),
    'cost': 'rvmae_jax.evals.cost:CostEval',
    'feature_quality': ('rvmae_jax.evals.feature_quality:FeatureQualityEval'),
    'knn': 'rvmae_jax.evals.knn:KnnEval',
    'label_propagation': (
      'rvmae_jax.evals.label_propagation:LabelPropagationEval'
    ),
    'linear_probe': 'rvmae_jax.evals.linear_probe:LinearProbeEval',
    'localization': 'rvmae_jax.evals.localization:LocalizationEval',
    'long_video': 'rvmae_jax.evals.long_video:LongVideoEval',
    'reconstruction': 'rvmae_jax.evals.reconstruction:ReconstructionEval',
    'recurrence': 'rvmae_jax.evals.recurrence:RecurrenceEval',
    'retrieval': 'rvmae_jax.evals.retrieval:RetrievalEval',
    'robustness': 'rvmae_jax.evals.robustness:RobustnessEval',
    'uncertainty': 'rvmae_jax.evals.uncertainty:UncertaintyEval',
  },
)


def build_eval(
  config: Mapping[str, Any],
  *,
  data: ConfigDict,
  patch_size: int,
  batch_size: int,
  tubelet_size: int = 1,
  seed: int = 0,
) -> Any:
  """An evaluation from one entry of `config.evals`.

  Args:
    config: `name`, settings, and optionally `data` (changes to `data`, see
      `evals.videos.override`), `batch_size` and the trainer's `every_steps`.
    data: the data config of the run.
    patch_size: of the model, for masks.
    batch_size: clips at once, where the entry has none.
    tubelet_size: of the model, for masks.
    seed: of masks, and of whatever the evaluation draws.

  Raises:
    ValueError: an unknown evaluation or setting; near names are shown.
  """
  from rvmae_jax.evals.videos import Videos  # The pipeline is heavy.

  settings = dict(config)
  settings.pop('every_steps', None)
  batch_size = settings.pop('batch_size', batch_size)
  changes = settings.pop('data', {})
  videos = Videos(data, patch_size, batch_size, seed, tubelet_size)
  return EVALS.build(settings, videos=videos.changed(changes))
