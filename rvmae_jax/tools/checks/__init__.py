"""What `tools/doctor` looks at: videos, copies, leakage, weights."""
