"""What the benchmarks compare with, and count."""
