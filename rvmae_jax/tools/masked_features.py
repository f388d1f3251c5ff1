"""Compares features under training's masks with features of whole clips.

  python -m rvmae_jax.tools.masked_features \\
    --config configs/compare_sprites.py --out train_eval_gap.json \\
    --checkpoints videomae=runs/videomae,rvmae=runs/rvmae [--masks 1,4,16]

The encoder of a masked autoencoder sees a few tokens of a clip in training and
all of them afterwards. To see what that costs, the same linear probe is trained
on features of whole clips, on pooled features averaged over several masks drawn
as in training (once for each of `--masks`) and, as a baseline, on an untrained
network's features of whole clips.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from absl import app, flags
from ml_collections import ConfigDict

from rvmae_jax import weights
from rvmae_jax.batch import MaskLayout, Slots
from rvmae_jax.commands import run_command
from rvmae_jax.config_utils import define_config_flag
from rvmae_jax.evals.features import FeatureSet, gather
from rvmae_jax.evals.pooling import pool
from rvmae_jax.evals.videos import Videos
from rvmae_jax.evals.views import Views
from rvmae_jax.evaluate import build_evaluations, fresh_params
from rvmae_jax.masking import build_mask, check_mask
from rvmae_jax.models import build_model
from rvmae_jax.models.recurrent import RecurrentAutoencoder
from rvmae_jax.tools.result_file import write_result

# Those that ask nothing of single places, which masks leave out.
POOLINGS = ('mean', 'mean_std_8')
_WHOLE, _UNTRAINED = 'whole', 'untrained'
_PROBE = 'linear_probe'


class MaskedReader:
  """Pooled features of clips, seen whole or under masks of the run.

  Args:
    run_config: of the run.
    params: its parameters.
    num_masks: how many masks to average over, a way of reading for each
      number. Smaller numbers are the first masks of the largest.

  Raises:
    ValueError: tokens that the mask shows cannot be pooled frame by frame, or
      it follows optical flow, which clips of evaluations do not have.
  """

  def __init__(
    self,
    run_config: ConfigDict,
    params: Any,
    num_masks: Sequence[int],
  ):
    self._config, self._num_masks = run_config, sorted(num_masks)
    self._params = params
    model = build_model(run_config.model)
    slots = Slots.EVEN
    if isinstance(model, RecurrentAutoencoder):
      slots = Slots.EVEN_WHERE_SHOWN  # Its features are of hidden places, too.
    mask = run_config.data.mask
    check_mask(mask, MaskLayout(slots=slots), 'Pooling of masked features')
    if mask.name == 'motion_guided':
      raise ValueError(
        'data.mask.name=motion_guided follows optical flow, which clips of '
        'evaluations do not have; frame_difference needs none.'
      )
    self._fresh = fresh_params(run_config)
    self._tubelet_size = getattr(model, 'tubelet_size', 1)

    def whole(params, video):
      features = model.apply({'params': params}, video, method='encode')
      return self._pool(features[:, :, model.num_prefix_tokens :])

    def masked(params, batch):
      features = model.apply({'params': params}, batch)['features']
      prefix = model.num_prefix_tokens
      slots = batch['video'].shape[1] // self._tubelet_size
      # [B, G, P+n, D] -> [B, t, n', D]
      features = features[:, :, prefix:]
      return self._pool(
        features.reshape(len(features), slots, -1, features.shape[-1])
      )

    self._whole, self._masked = jax.jit(whole), jax.jit(masked)

  def __call__(
    self, batch: Mapping[str, np.ndarray]
  ) -> dict[str, dict[str, np.ndarray]]:
    """Way of reading -> pooling -> [B, D].

    Args:
      batch: `video` and `host/record`, which the masks of a row come from.
    """
    video = batch['video']
    found = {
      _WHOLE: self._whole(self._params, video),
      _UNTRAINED: self._whole(self._fresh, video),
    }
    sums = dict.fromkeys(POOLINGS, 0.0)
    for number in range(max(self._num_masks)):
      masks = self._draw(video, batch['host/record'], number)
      pooled = self._masked(self._params, {'video': video, **masks})
      sums = {name: sums[name] + np.asarray(pooled[name]) for name in POOLINGS}
      if number + 1 in self._num_masks:
        found[f'masks_{number + 1}'] = {
          name: value / (number + 1) for name, value in sums.items()
        }
    return {way: jax.device_get(pooled) for way, pooled in found.items()}

  def _pool(self, features: jax.Array) -> dict[str, jax.Array]:
    return pool(features, POOLINGS, self._tubelet_size)

  def _draw(
    self, video: np.ndarray, records: np.ndarray, number: int
  ) -> dict[str, np.ndarray]:
    """Mask `number` of each row: the ids of the batch contract."""
    _, num_frames, height, width, _ = video.shape
    p = self._config.model.patch_size
    mask = build_mask(
      self._config.data.mask,
      {'video': num_frames},
      (height // p, width // p),
      self._tubelet_size,
    )
    rows = [
      mask({'video': clip}, np.random.default_rng((0, int(record), number)))
      for clip, record in zip(video, records)
    ]
    keys = rows[0].keys() - {'video'}
    return {key: np.stack([row[key] for row in rows]) for key in keys}


def read_features(
  reader: MaskedReader, videos: Videos
) -> Iterator[tuple[str, FeatureSet]]:
  """Way of reading, and the features of all labelled videos read so."""
  rows, labels, _ = gather(reader, videos.batches(), Views())
  for way, pooled in rows.items():
    pooled = {name: values[:, 0] for name, values in pooled.items()}
    yield way, FeatureSet({way: pooled}, labels)


def probe(
  config: ConfigDict, checkpoint: str, num_masks: Sequence[int]
) -> dict[str, float]:
  """Accuracies of a linear probe by way of reading.

  Args:
    config: of a comparison; its evaluation has the probe and its videos.
    checkpoint: what `weights.load` takes.
    num_masks: see `MaskedReader`.

  Returns:
    `<way>/<pooling>/top1` and what else the probe measures.

  Raises:
    ValueError: the run hides nothing of its clips.
  """
  params, run_config = weights.load(checkpoint)
  if not run_config.data.get('mask'):
    raise ValueError(
      f'{checkpoint} was trained without a mask: nothing to compare.'
    )
  evaluation = ConfigDict(config.evaluation.to_dict())
  evaluation.evals = {_PROBE: evaluation.evals[_PROBE]}
  evaluation.evals[_PROBE].poolings = POOLINGS
  probing = build_evaluations(evaluation, run_config)[_PROBE]
  reader = MaskedReader(run_config, params, num_masks)
  train, test = (
    dict(read_features(reader, videos))
    for videos in (probing.train, probing.test)
  )
  metrics = {}
  for way in train:
    answers = probing.answer_pairs([(train[way], test[way])])
    metrics |= probing.count(answers).metrics
  return metrics


def _numbers(masks: Sequence[str]) -> list[int]:
  for text in masks:
    if not text.isdecimal() or not int(text):
      raise app.UsageError(
        f'--masks: {text!r} is not a number of masks, 1 or more.'
      )
  return [int(text) for text in masks]


def _checkpoints(entries: Sequence[str]) -> dict[str, str]:
  """Path of each run, by name."""
  found = {}
  for entry in entries:
    name, _, path = entry.partition('=')
    if not name or not path or name in found:
      raise app.UsageError(
        f'--checkpoints: {entry!r} should be name=path, each name once.'
      )
    found[name] = path
  return found


def main(args: flags.FlagValues) -> None:
  """Runs the command."""
  num_masks = _numbers(args.masks)
  checkpoints = _checkpoints(args.checkpoints)
  ways = [_WHOLE, *(f'masks_{n}' for n in num_masks), _UNTRAINED]
  rows, metrics = [], {}
  for name, checkpoint in checkpoints.items():
    found = metrics[name] = probe(args.config, checkpoint, num_masks)
    for pooling in POOLINGS:
      accuracies = [100 * found[f'{way}/{pooling}/top1'] for way in ways]
      rows.append((name, pooling, *accuracies))
      print(rows[-1], flush=True)
  masks = [f'{n} mask{"s" * (n > 1)}, %' for n in num_masks]
  share = found['chance']
  error = 50 / found['num_test'] ** 0.5
  write_result(
    args.out,
    ('run', 'pooling', 'all tokens, %', *masks, 'untrained, %'),
    rows,
    f'Accuracy of a linear probe on {found["num_test"]} videos; chance is '
    f'{100 * share:.1f} %, one standard error at most {error:.1f} points. '
    'With several masks, pooled features are averaged over them.',
    metrics=metrics,
  )


if __name__ == '__main__':
  define_config_flag()
  flags.DEFINE_string('out', None, 'The JSON file to write.')
  flags.DEFINE_list(
    'checkpoints',
    None,
    'Runs, as name=path; one with a comma goes into double quotes.',
  )
  flags.DEFINE_list(
    'masks',
    ['1', '4', '16'],
    'How many masks to average over; one result for each.',
  )
  flags.mark_flags_as_required(['out', 'checkpoints'])
  run_command(main)
