"""A function of a network with its weights inside, ready for any converter."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.export
import jax.numpy as jnp

from rvmae_jax.artifacts import FUNCTIONS, KERNELS
from rvmae_jax.evals.kept_probe import KeptProbe
from rvmae_jax.evals.pooling import Pooling
from rvmae_jax.layers.bfloat16_products import bfloat16_kernels
from rvmae_jax.layers.quantised_products import (
  KINDS,
  num_bytes,
  pack_int4,
  quantise,
  unpack_int4,
)
from rvmae_jax.models import build_model, build_unrolled, needed_params
from rvmae_jax.models.backbone import OnBackbone
from rvmae_jax.models.classifier import Classifier
from rvmae_jax.registry import check_known

# FlatBuffers and protocol buffers, which artifacts are, end there.
_MOST_BYTES = 2**31 - 2**24

Compute = Callable[..., dict[str, jax.Array]]


class Array(NamedTuple):
  """What goes into a program or comes out of it.

  Attributes:
    shape: a number, or the name of what is free: 'batch' or 'time'.
    dtype: as NumPy names it.
    meaning: in a few words.
  """

  shape: tuple[int | str, ...]
  dtype: str
  meaning: str


@dataclasses.dataclass(frozen=True)
class Program:
  """What an artifact computes.

  Attributes:
    function: one of `FUNCTIONS`.
    compute: takes the inputs in order, gives outputs by name.
    inputs: by name.
    outputs: by name.
    num_frames: of the clip that stands for one of any length.
    num_parameters: inside.
    kernels: what those of dense layers are kept in, one of `KERNELS`.
  """

  function: str
  compute: Compute
  inputs: Mapping[str, Array]
  outputs: Mapping[str, Array]
  num_frames: int
  num_parameters: int
  kernels: str

  def specs(self, is_fixed: bool = False) -> list[jax.ShapeDtypeStruct]:
    """Shapes of the inputs, with symbols for what is free.

    Args:
      is_fixed: nothing is free: one row of `num_frames` frames.
    """
    return _specs(self.inputs, self.num_frames if is_fixed else 0)


def build_program(
  config: Mapping[str, Any],
  params: Mapping[str, Any],
  function: str,
  *,
  size: tuple[int, int],
  num_frames: int,
  kernels: str = 'float32',
  probe: KeptProbe | None = None,
) -> Program:
  """A function of a network.

  All take uint8 frames and compute in float32.

  Args:
    config: `config.model` of a run.
    params: its parameters.
    function: 'step', from a state and a frame to the next state and features;
      'encode', from a clip to features; 'classify', from a clip to logits.
    size: (height, width) of frames, which positions are made for.
    num_frames: of a clip; `encode` of a recurrent network takes any number.
    kernels: what the kernels of dense layers are kept in, one of `KERNELS`.
    probe: what classifies, where the network does not.

  Raises:
    ValueError: the network has no such function, the probe is of another one,
      weights do not fit into a file, or patches do not tile the frames.
  """
  check_known('function', FUNCTIONS, function)
  check_known('kind of kernels', KERNELS, kernels)
  if num_frames < 1:
    raise ValueError(f'num_frames={num_frames} must be at least 1.')
  # Attention that is made of plain products, whatever the device.
  model, params = build_unrolled(
    config, params, dtype='float32', attention='heads_first'
  )
  is_classifier = isinstance(model, Classifier)
  if function == 'classify' and is_classifier == bool(probe):
    raise ValueError(
      f'{config["name"]} is a classifier, which takes no probe.'
      if is_classifier
      else f'{config["name"]} gives features and no classes: fine-tune it, or '
      'name a linear probe that an evaluation kept (--probe).'
    )
  if probe and function != 'classify':
    raise ValueError(
      f'A probe classifies, and {function!r} does not: leave out the probe '
      "(--probe), or export the function 'classify'."
    )
  if isinstance(model, OnBackbone) and (function != 'classify' or probe):
    model, params = model.backbone, params['backbone']
  is_recurrent = getattr(model, 'is_recurrent', False)
  if function == 'step' and not is_recurrent:
    raise ValueError(
      f'{type(model).__name__} carries no state from frame to frame, so it has '
      'no step: export the function encode, which takes clips.'
    )
  make = {'step': _step, 'encode': _encode, 'classify': _classify}[function]
  is_free = function == 'encode' and is_recurrent
  time = 'time' if is_free else num_frames
  inputs, method, compute = make(model, size, time, probe)
  apply, num_parameters = _with_weights(
    model, params, method, _specs(inputs, num_frames), kernels
  )
  compute = functools.partial(compute, apply)
  return Program(
    function,
    compute,
    inputs,
    _outputs(compute, inputs),
    num_frames,
    num_parameters,
    kernels,
  )


def usual_function(config: Mapping[str, Any], has_probe: bool = False) -> str:
  """What a network is best taken for: see `build_program`."""
  model = build_model(config)
  if has_probe or isinstance(model, Classifier):
    return 'classify'
  return 'step' if getattr(model, 'is_recurrent', False) else 'encode'


def _step(model, size, time, probe):
  state = jax.eval_shape(lambda: model.init_state(1, *size))
  inputs = {
    'state': Array(
      ('batch', *state.shape[1:]),
      'float32',
      'what came out as next_state; zeros before the first frame',
    ),
    'frame': Array(('batch', *size, 3), 'uint8', 'the next frame, RGB'),
  }

  def compute(apply, state, frame):
    state, features = apply(state, frame)
    return {'next_state': state, 'features': features}

  return inputs, 'step', compute


def _clip(size, time):
  return {'video': Array(('batch', time, *size, 3), 'uint8', 'a clip, RGB')}


def _encode(model, size, time, probe):
  def compute(apply, video):
    return {'features': apply(video)}

  return _clip(size, time), 'encode', compute


def _classify(model, size, time, probe):
  tubelet_size = getattr(model, 'tubelet_size', 1)
  if probe:
    pooling = Pooling.named(probe.pooling)
    pooling.check(time, tubelet_size)
    width = model.width * (2 if pooling.kind == 'mean_std' else 1)
    if len(probe.mean) != width:
      raise ValueError(
        f'The probe takes {len(probe.mean)} numbers of a clip, and '
        f'{probe.pooling} of this network has {width}: name one that an '
        'evaluation of the same network kept (--probe).'
      )

  def of_network(apply, video):
    return {'logits': apply({'video': video})['logits']}

  def of_probe(apply, video):
    grid = apply(video)[:, :, model.num_prefix_tokens :]
    return {'logits': probe.logits(grid, tubelet_size)}

  if probe:
    return _clip(size, time), 'encode', of_probe
  return _clip(size, time), '__call__', of_network


_MEANINGS = {
  'next_state': 'the state after the frame',
  'features': 'of every token of every frame (or tubelet), CLS first if any',
  'logits': 'of classes; softmax makes them probabilities',
}


def _outputs(compute: Compute, inputs: Mapping[str, Array]) -> dict[str, Array]:
  shapes = jax.eval_shape(compute, *_specs(inputs))
  return {
    name: Array(
      tuple(n if isinstance(n, int) else str(n) for n in array.shape),
      str(array.dtype),
      _MEANINGS[name],
    )
    for name, array in shapes.items()
  }


def _specs(
  inputs: Mapping[str, Array], num_frames: int = 0
) -> list[jax.ShapeDtypeStruct]:
  """Shapes with symbols, or those of one row of `num_frames`."""
  known = {'batch': 1, 'time': num_frames} if num_frames else {}
  scope = jax.export.SymbolicScope()
  return [
    jax.ShapeDtypeStruct(
      jax.export.symbolic_shape(
        ', '.join(str(known.get(n, n)) for n in array.shape), scope=scope
      ),
      array.dtype,
    )
    for array in inputs.values()
  ]


def _with_weights(
  model: Any,
  params: Mapping[str, Any],
  method: str,
  specs: list[jax.ShapeDtypeStruct],
  kernels: str,
) -> tuple[Callable[..., Any], int]:
  """A method of a network with the parameters that it needs, and their number.

  Raises:
    ValueError: they do not fit into a file.
    ImportError: quantisation needs a package that is not installed.
  """
  arguments = [{'video': specs[0]}] if method == '__call__' else specs
  params = needed_params(model, params, *arguments, method=method)
  num_parameters = sum(leaf.size for leaf in jax.tree.leaves(params))
  is_quantised = kernels in KINDS
  if is_quantised:
    model, params = quantise(kernels, model, params, *arguments, method=method)
  elif kernels == 'bfloat16':
    params = bfloat16_kernels(jax.tree.map(jnp.asarray, params))
  if (size := num_bytes(params)) > _MOST_BYTES:
    raise ValueError(
      f'The weights are {size / 2**30:.2f} GiB, but an artifact can hold at '
      'most 2 GiB. Export with --dtype bfloat16 or --quantise int8, or the '
      'weights alone (.npz, .safetensors).'
    )

  def kept(leaf):
    return pack_int4(leaf) if leaf.dtype == jnp.int4 else leaf

  def widen(leaf, kept):
    if leaf.dtype == jnp.float32:
      return leaf
    # Converters would widen constants at once, and files be no smaller.
    kept = jax.lax.optimization_barrier(kept)
    if leaf.dtype == jnp.int4:
      return unpack_int4(kept, leaf.shape)
    return kept if is_quantised else kept.astype(jnp.float32)

  packed = jax.tree.map(kept, params)

  def apply(*inputs):
    wide = jax.tree.map(widen, params, packed)
    return model.apply({'params': wide}, *inputs, method=method)

  return apply, num_parameters
