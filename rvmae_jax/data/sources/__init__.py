"""SOURCES: where videos come from. A source is what records.Source says."""

from rvmae_jax.registry import Registry

SOURCES = Registry(
  'source',
  {
    'fake': 'rvmae_jax.data.sources.fake:Fake',
    'folder': 'rvmae_jax.data.sources.folder:Folder',
    'listing': 'rvmae_jax.data.sources.listing:Listing',
    'moving_sprites': 'rvmae_jax.data.sources.moving_sprites:MovingSprites',
    'shards': 'rvmae_jax.data.sources.shards:Shards',
    'tfds': 'rvmae_jax.data.sources.tfds:Tfds',
  },
)
