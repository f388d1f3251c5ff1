"""What `tools/plan` is made of: compiling ahead of time, and its bounds."""
