"""Label propagation: labels of the first frame, handed on by features."""
