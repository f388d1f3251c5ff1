"""A network as evaluations see it: jitted functions of arrays."""

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from rvmae_jax.batch import split_host
from rvmae_jax.evals.pooling import pool, unit_length
from rvmae_jax.target_device import compiling_for


class Judge(Protocol):
  """A frozen network that compares videos, see `rvmae_jax.perceptual`."""

  params: Any

  def distance(
    self, params: Any, video: jax.Array, other: jax.Array
  ) -> jax.Array:
    """Distance of clips [n, T, H, W, 3] from others: [n]."""


class ModelFunctions:
  """What evaluations use of a network with fixed parameters.

  Args:
    model: a Flax module that answers to the contract of `rvmae_jax.models`.
    params: its parameters, on the host or (sharded or not) on devices; those on
      the host are placed on the devices once.
    mesh: where batches are spread over all axes; a single device if None. Each
      process must hand in the same rows, as `make_dataset(train=False)` yields.
    to_frames: makes frames of the model's outputs, given the batch: `rebuilt`
      beside `pred`, which may be normalised or only some of the patches.
    build_model: makes a Flax module of a `config.model`, to compare with.
    load_judge: reads a frozen network from its path.
  """

  def __init__(
    self,
    model: Any,
    params: Any,
    mesh: jax.sharding.Mesh | None = None,
    to_frames: Callable[[Mapping, Mapping], jax.Array] | None = None,
    build_model: Callable[[Mapping], Any] | None = None,
    load_judge: Callable[[str], Judge] | None = None,
  ):
    self._model = model
    self._mesh = mesh or jax.sharding.Mesh(jax.local_devices()[:1], ('data',))
    self._everywhere = NamedSharding(self._mesh, PartitionSpec())
    self._build_model, self._load_judge = build_model, load_judge
    # Path -> distance, jitted, and the parameters that it takes.
    self._judges: dict[str, tuple[Callable[..., jax.Array], Any]] = {}
    # Results that several evaluations share; see `evals.features`.
    self.cache: dict[str, Any] = {}
    self._method = 'encode'
    # Whether a state carries on from clip to clip, see `encode_from`.
    self.is_recurrent = getattr(model, 'is_recurrent', False)

    def predict(params, batch):
      outputs = model.apply({'params': params}, batch, train=False)
      if to_frames:
        outputs['rebuilt'] = to_frames(outputs, batch)
      return outputs

    def encode(params, video, method):
      features = model.apply({'params': params}, video, method=method)
      return features.astype(jnp.float32)

    def encode_from(params, state, video):
      features, state = model.apply(
        {'params': params}, state, video, method='encode_from'
      )
      return features.astype(jnp.float32), state

    def pooled(params, video, poolings, method):
      features = encode(params, video, method)
      tubelet_size = video.shape[1] // features.shape[1]
      grid = features[:, :, model.num_prefix_tokens :]
      return pool(grid, poolings, tubelet_size)

    def distance(params, first, second):
      def unit_features(frames):
        # [n, 1, H, W, 3] -> [n, z, H, W, 3]
        video = frames.repeat(getattr(model, 'tubelet_size', 1), axis=1)
        return unit_length(encode(params, video, 'encode'))

      difference = unit_features(first) - unit_features(second)
      return jnp.square(difference).sum(-1).mean((1, 2))

    self._params = self._settle(params)
    self._init = self._jit(functools.partial(model.init, method='encode'))
    self._predict = self._jit(predict)
    self._encode = self._jit(encode, static_argnums=2)
    self._encode_from = self._jit(encode_from)
    self._distance = self._jit(distance)
    self._pooled = self._jit(pooled, static_argnums=(2, 3))

  @property
  def num_prefix_tokens(self) -> int:
    """Tokens before the grid in features, such as CLS."""
    return self._model.num_prefix_tokens

  @property
  def trainable(self) -> tuple[Any, Any, str]:
    """The Flax module, its parameters, and the method that gives features."""
    return self._model, self._params, self._method

  def with_params(self, params: Any) -> 'ModelFunctions':
    """The same functions, already compiled, with other parameters."""
    other = copy.copy(self)
    other._params, other.cache = self._settle(params), {}
    return other

  def untrained(self, video: np.ndarray, seed: int = 0) -> 'ModelFunctions':
    """The same network with random weights, to encode with but not predict.

    Args:
      video: any [B, T, H, W, 3] uint8, for its shape.
      seed: of the parameters.
    """
    # One video asks for all parameters that features need.
    variables = self._init(jax.random.key(seed), video[:1])
    return self.with_params(variables['params'])

  def per_frame(self) -> 'ModelFunctions':
    """This network on each frame alone, without those before it."""
    other = copy.copy(self)
    other._method, other.is_recurrent, other.cache = 'encode_frames', False, {}
    return other

  def fresh(self, model_config: Mapping, video: np.ndarray) -> 'ModelFunctions':
    """Another network with random weights, to encode with but not predict.

    Args:
      model_config: as `config.model`.
      video: any [B, T, H, W, 3] uint8, for its shape.
    """
    model = self._build_model(model_config)
    return ModelFunctions(model, None, self._mesh).untrained(video)

  def num_parameters(self, video: np.ndarray) -> int:
    """Numbers in all parameters that features of such a video need."""
    init = functools.partial(self._model.init, method='encode')
    shapes = jax.eval_shape(init, jax.random.key(0), video)
    return sum(leaf.size for leaf in jax.tree.leaves(shapes['params']))

  def encode_flops(self, shape: tuple[int, ...]) -> int | None:
    """FLOPs of `encode` for one clip of a batch [B, T, H, W, 3].

    None where the network does not count.
    """
    model = getattr(self._model, 'backbone', self._model)
    if not hasattr(model, 'flops_per_clip'):
      return None
    video = jax.ShapeDtypeStruct(shape, jnp.uint8)
    return sum(model.flops_per_clip({'video': video}).values())

  def compile(
    self, method: str, *args: np.ndarray
  ) -> tuple[jax.stages.Compiled, tuple]:
    """A method of the model, compiled, and all the arguments that it takes."""

    def apply(params, *args):
      return self._model.apply({'params': params}, *args, method=method)

    args = (self._params, *self._place(args))
    return jax.jit(apply).lower(*args).compile(), args

  def predict(self, batch: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The model's outputs for a batch of the contract, arrays on the device."""
    return self._predict(self._params, self._place(split_host(batch)[0]))

  def encode(self, video: np.ndarray) -> np.ndarray:
    """Features [B, T, tokens, D] of a video [B, T, H, W, 3] uint8."""
    placed = self._place(video)
    return np.asarray(self._encode(self._params, placed, self._method))

  def init_state(self, batch_size: int, height: int, width: int) -> jax.Array:
    """The state of a recurrent model before the first frame."""
    state = self._model.apply(
      {}, batch_size, height, width, method='init_state'
    )
    # Placed like the states that follow, so that one program serves all.
    return self._settle(np.asarray(state))

  def encode_from(
    self, state: jax.Array, video: np.ndarray
  ) -> tuple[np.ndarray, jax.Array]:
    """Goes on with a video where the state was left.

    Args:
      state: of `init_state`, or of the clip before.
      video: the next frames, [B, T, H, W, 3] uint8.

    Returns:
      Their features [B, T, tokens, D], and the state after them, which stays on
      the device.
    """
    features, state = self._encode_from(self._params, state, self._place(video))
    return np.asarray(features), state

  def pooled(
    self, video: np.ndarray, poolings: Sequence[str]
  ) -> dict[str, np.ndarray]:
    """Poolings, by name, of what `encode` gives, see `evals.pooling`."""
    placed = self._place(video)
    return jax.device_get(
      self._pooled(self._params, placed, tuple(poolings), self._method)
    )

  def perceptual_distance(
    self, first: np.ndarray, second: np.ndarray, network: str = 'own'
  ) -> np.ndarray:
    """Perceptual distance of frames to a network, 0 where they are equal.

    To this one: the squared distance of unit features, from 0 to 4, as mean
    over tokens; each frame goes in as a clip of equal frames.

    Args:
      first, second: [n, H, W, 3] in [0, 1].
      network: 'own', this one, or the path of a frozen one, such as VGG16.

    Returns:
      [n] float32.
    """
    distance, params = self._distance, self._params
    if network != 'own':
      if network not in self._judges:
        judge = self._load_judge(network)
        self._judges[network] = (
          self._jit(judge.distance),
          self._settle(judge.params),
        )
      distance, params = self._judges[network]
    clips = self._place((first[:, None], second[:, None]))
    return np.asarray(distance(params, *clips))

  def _jit(self, function: Callable, **options: Any) -> Callable:
    """Jits for the mesh; what comes out is whole on each of its devices."""
    function = compiling_for(self._mesh.devices.flat[0])(function)
    return jax.jit(function, out_shardings=self._everywhere, **options)

  def _settle(self, params: Any) -> Any:
    """Parameters on all devices; each of them whole, if it was elsewhere."""
    devices = {*self._mesh.devices.flat}

    def settle(x):
      if isinstance(x, jax.Array) and x.sharding.device_set == devices:
        return x
      x = np.asarray(x)
      return jax.make_array_from_callback(
        x.shape, self._everywhere, x.__getitem__
      )

    return jax.tree.map(settle, params)

  def _place(self, tree: Any) -> Any:
    """Spreads rows over the mesh; too few to share out go to each device."""

    def place(x):
      is_shared = len(x) % self._mesh.size == 0
      spec = PartitionSpec(self._mesh.axis_names if is_shared else None)
      sharding = NamedSharding(self._mesh, spec)
      return jax.make_array_from_callback(x.shape, sharding, x.__getitem__)

    return jax.tree.map(place, tree)
