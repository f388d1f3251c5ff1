"""What a training step has to do at least, however it is compiled."""

import functools
from typing import NamedTuple

import jax
from ml_collections import ConfigDict

from rvmae_jax.benchmarks.program import exponentials, padded_flops
from rvmae_jax.config_utils import from_json, to_json
from rvmae_jax.parts import Parts, build_parts


class Work(NamedTuple):
  """Of one step, over all chips.

  Attributes:
    matrix_flops: of matrix products, with what the widths of a network leave
      empty in a matrix unit (see `program.padded_flops`).
    exponentials: elements that exp and tanh are taken of.
  """

  matrix_flops: float
  exponentials: float


def trace_step(config: ConfigDict) -> tuple[Parts, jax.stages.Traced]:
  """A config's parts, and its step traced without a mesh."""
  parts = build_parts(config)
  step = jax.jit(parts.train_step, donate_argnums=0)
  return parts, step.trace(parts.shapes, parts.spec, *parts.frozen)


def keeping_all(config: ConfigDict) -> ConfigDict:
  """The config with nothing computed again in the backward pass."""
  config = ConfigDict(config.to_dict())
  changes = {'attention': 'xla', 'remat': 'none', 'core_remat': 'none'}
  for entry, value in changes.items():
    if entry in config.model:
      config.model[entry] = value
  return config


def least_work(config: ConfigDict, matrix_side: int) -> Work:
  """Of a config's step, with nothing computed again.

  Args:
    config: a recipe.
    matrix_side: of a chip's matrix units.
  """
  config = keeping_all(config)
  config.accumulation_steps = 1
  return _least_work(to_json(config), matrix_side)


@functools.cache
def _least_work(config: str, matrix_side: int) -> Work:
  """As `least_work`, of a config as JSON; cached, as variants may share it."""
  _, traced = trace_step(from_json(config))
  return Work(
    padded_flops(traced.jaxpr, matrix_side), exponentials(traced.jaxpr)
  )
