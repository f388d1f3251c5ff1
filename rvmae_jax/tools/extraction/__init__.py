"""What `tools/extract` is made of: videos to features."""
