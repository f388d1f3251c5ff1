"""What `tools/model_card` is made of: its sections on data and metrics."""
