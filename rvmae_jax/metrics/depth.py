"""How far depth maps are off."""

import numpy as np

RATIOS = {'1.25': 1.25, '1.25^2': 1.25**2, '1.25^3': 1.25**3}


def depth_scores(pred: np.ndarray, true: np.ndarray) -> dict[str, float]:
  """Errors of a depth map or many, over all pixels with a truth.

  Args:
    pred: any shape.
    true: the same shape, above 0; NaN where there is no truth.

  Returns:
    `AbsRel`, the mean of |pred - true| / true; `RMSE`, in the unit of depth;
    and `within_1.25`, `within_1.25^2`, `within_1.25^3`: the share of pixels
    whose ratio, the larger by the smaller, is less than that. NaN where nothing
    has a truth.

  Raises:
    ValueError: other shapes, or a truth that is not above 0.
  """
  pred, true = np.asarray(pred, float), np.asarray(true, float)
  if pred.shape != true.shape:
    raise ValueError(
      f'Depth maps of shapes {pred.shape} and {true.shape} cannot be compared.'
    )
  known = ~np.isnan(true)
  pred, true = pred[known], true[known]
  if (true <= 0).any():
    raise ValueError(
      f'True depth of {true.min():g} is not a distance; write NaN where there '
      'is no truth.'
    )
  if not true.size:
    names = ('AbsRel', 'RMSE', *(f'within_{name}' for name in RATIOS))
    return dict.fromkeys(names, float('nan'))
  # What is predicted behind the camera is not within any ratio.
  ahead = np.maximum(pred, np.finfo(float).tiny)
  with np.errstate(over='ignore'):
    ratio = np.maximum(ahead / true, true / ahead)
  return {
    'AbsRel': float((np.abs(pred - true) / true).mean()),
    'RMSE': float(np.sqrt(np.square(pred - true).mean())),
    **{
      f'within_{name}': float((ratio < most).mean())
      for name, most in RATIOS.items()
    },
  }
