"""OpenCV, which is in an extra: imported when something asks for it."""

import types


def import_opencv(advice: str) -> types.ModuleType:
  """The module `cv2`, computing on one thread: the loader has its own.

  Args:
    advice: what needs it, and which extra brings it.

  Raises:
    ImportError: it is not installed; with the advice.
  """
  try:
    import cv2
  except ImportError as error:
    raise ImportError(advice) from error
  cv2.setNumThreads(1)
  return cv2
