"""Video data on the host: sources, decoding, clips, batches."""
