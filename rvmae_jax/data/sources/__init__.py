"""SOURCES: where videos come from. A source is what records.Source says."""

from rvmae_jax.registry import Registry

SOURCES = Registry(
  'source',
  {
    'diving48': 'rvmae_jax.data.sources.diving48:Diving48',
    'fake': 'rvmae_jax.data.sources.fake:Fake',
    'folder': 'rvmae_jax.data.sources.folder:Folder',
    'hmdb51': 'rvmae_jax.data.sources.hmdb51:Hmdb51',
    'kinetics': 'rvmae_jax.data.sources.kinetics:Kinetics',
    'listing': 'rvmae_jax.data.sources.listing:Listing',
    'moving_sprites': 'rvmae_jax.data.sources.moving_sprites:MovingSprites',
    'shards': 'rvmae_jax.data.sources.shards:Shards',
    'ssv2': 'rvmae_jax.data.sources.ssv2:Ssv2',
    'tfds': 'rvmae_jax.data.sources.tfds:Tfds',
    'ucf101': 'rvmae_jax.data.sources.ucf101:Ucf101',
  },
)
