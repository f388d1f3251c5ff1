"""Places of labels worked by hand."""

from rvmae_jax.visualize.spacing import spread


def test_labels_keep_their_distance_around_their_mean():
  assert spread([1, 2, 10, 10.5, 11], apart=2) == [0.5, 2.5, 8.5, 10.5, 12.5]
  assert spread([1, 4], apart=2) == [1, 4]
