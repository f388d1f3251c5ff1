"""State, step, optimizer, sharding, checkpoints and logs of a run."""
