"""From videos to batches: sources, decoding, clips, augmentation, pipeline."""
