"""What `tools/compare` is made of: runs, processes, the table."""
