"""Label propagation: labels of the first frame, propagated by features."""
