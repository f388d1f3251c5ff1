"""Building blocks of the networks: attention, blocks, positions, recurrence."""
