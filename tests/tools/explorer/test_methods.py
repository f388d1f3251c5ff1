"""A network of every method is explored, or the page says why it cannot be."""

import numpy as np
import pytest

from rvmae_jax.tools.explorer import features, rebuild, track
from rvmae_jax.tools.explorer.networks import make_network

# Recipe -> what it rebuilds ('' nothing), and whether a state goes from frame
# to frame.
METHODS = {
  'rvm_quickstart': ('target', True),
  'rvmae': ('video', True),
  'siammae': ('target', False),
  'videomae': ('video', False),
  'vanilla_mae': ('video', False),
  'temporal_augmentation_mae': ('video', False),
  'arvideo': ('video', False),
  'moco_v3': ('', False),
  'from_scratch': ('', False),
}


@pytest.fixture(params=METHODS, scope='module')
def method(request, make_method):
  """A network, and what it can do."""
  return make_method(request.param), *METHODS[request.param]


def test_features_have_gates_where_there_is_a_state(method, noise):
  network, _, has_state = method
  side = network.side
  video = noise[:5].repeat(side // 32, 1).repeat(side // 32, 2)
  found = features.join(list(features.encode(network, video)))
  assert found.features.shape == (5, *2 * (side // 8,), 32)
  assert np.isfinite(found.features).all()
  assert bool(found.courses) == features.is_watched(network) == has_state
  mask = np.zeros((side, side), np.uint8)
  mask[8:24, 8:24] = 1
  frames = [*track.follow_mask(network, video[:3], mask, warm_up=1)]
  assert len(frames) == 3


def test_pixels_are_rebuilt_or_the_objective_is_named(
  method, noise, write_images
):
  network, rebuilds, _ = method
  path = write_images(noise)
  if not rebuilds:
    reason = f"its objective is '{network.config.objective.name}'"
    assert reason in rebuild.why_not(network)
    with pytest.raises(ValueError, match=reason):
      rebuild.rebuild(network, path, gap=2, ratio=0.5)
    return
  assert rebuild.why_not(network) == ''
  assert rebuild.rebuilds_targets(network) == (rebuilds == 'target')
  ratio = rebuild.trained_ratio(network)
  found = rebuild.rebuild(network, path, gap=2, ratio=ratio)
  assert found.gap == (2 if rebuilds == 'target' else 0)
  hidden = found.clips['hidden']
  assert 0 < hidden.mean() < 1
  # R-VMAE also hides whole frames, and ARVideo is shown clusters one by one.
  if network.config.data.mask.name not in ('space_time', 'clusters'):
    assert hidden.mean() == pytest.approx(ratio, abs=1 / 16)
  assert {'rebuilt', 'mean colour'} <= found.scores.keys()
  assert np.isfinite([*found.scores.values()]).all()
  rebuild.draw_rebuilt(found)


def test_an_encoder_alone_says_that_its_decoder_is_missing(network):
  _, params, _ = network.functions.trainable
  encoder = {k: v for k, v in params.items() if not k.startswith('decoder')}
  alone = make_network('encoder', encoder, network.config)
  assert 'encoder has no decoder' in rebuild.why_not(alone)
