"""Networks as the explorer asks them."""

import dataclasses
import functools
import gc
import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
from ml_collections import ConfigDict

from rvmae_jax import weights
from rvmae_jax.config_utils import model_title
from rvmae_jax.data.clips import unwrapped
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.memory import give_back
from rvmae_jax.models import build_model
from rvmae_jax.objectives import build_objective
from rvmae_jax.parts import model_functions
from rvmae_jax.training import checkpointing, sharding

QUICK_START = 'runs/quickstart'
# Sizes of arrays for which programs are kept, of all networks together.
NUM_SIZES = 4


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
  """A network with its parameters.

  Attributes:
    name: that the page calls it.
    config: of the run that made it.
    functions: what evaluations ask of it.
  """

  name: str
  config: ConfigDict
  functions: ModelFunctions

  @property
  def patch_size(self) -> int:
    """Edge of a patch in pixels."""
    return self.config.model.patch_size

  @property
  def side(self) -> int:
    """Shorter edge of the frames that it learned from, in pixels."""
    return min(self.config.data.crop.size)

  @property
  def clip(self) -> dict[str, Any]:
    """How its clips are sampled, without wrappers that matter in training."""
    return dict(unwrapped(self.config.data.clip))

  @property
  def window(self) -> int:
    """Frames that it encodes together, if it carries no state."""
    return self.clip.get('num_frames', 16)

  @functools.cached_property
  def title(self) -> str:
    """What it is, in a line."""
    size = ' x '.join(map(str, self.config.data.crop.size))
    return (
      f'{model_title(self.config.model)}, patches of {self.patch_size}, '
      f'learned from frames of {size} pixels'
    )


def make_network(name: str, params: Any, config: ConfigDict) -> Network:
  """A network of its parameters and the config of its run."""
  return Network(name, config, _make_functions(params, config))


def of_few_sizes(make: Callable[..., Any]) -> Callable[..., Any]:
  """Caches what a function makes for the sizes used last.

  Every number of visible tokens and every size of frames compiles a program of
  its own, of about 20 MB for a small network, which is freed with the jitted
  function that holds it. So each size gets a jitted function of its own.
  """

  @functools.lru_cache(maxsize=NUM_SIZES)
  @functools.wraps(make)
  def kept(*args):
    # Dropped entries are in reference cycles, which Python rarely collects.
    gc.collect()
    give_back()
    return make(*args)

  return kept


@of_few_sizes
def functions_of_size(network: Network, *size: int) -> ModelFunctions:
  """The functions of a network for arrays of one size.

  Args:
    network: whose parameters they share.
    *size: size of their inputs; only the key of the cache.
  """
  _, params, _ = network.functions.trainable
  return _make_functions(params, network.config)


def _make_functions(params: Any, config: ConfigDict) -> ModelFunctions:
  return model_functions(
    build_model(config.model),
    build_objective(config),
    params,
    # A clip at a time has no rows to spread.
    sharding.make_mesh(devices=jax.devices()[:1]),
  )


def load_networks(paths: Sequence[str]) -> dict[str, Network]:
  """Networks by name: the last part of each path, or the path if two are alike.

  Args:
    paths: of runs, checkpoints or files, see `weights.load`; empty takes the
      quick start's run, if there is one.

  Raises:
    FileNotFoundError: there are no weights at a path.
    ValueError: nobody knows a file's names, or an array does not fit.
  """
  if not paths:
    paths = [QUICK_START] if checkpointing.is_run(QUICK_START) else []
  ends = [os.path.basename(path.rstrip('/')) for path in paths]
  names = ends if len(set(ends)) == len(ends) else paths
  return {
    name: make_network(name, *weights.load(path))
    for name, path in zip(names, paths)
  }
