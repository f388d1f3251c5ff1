"""Measurements of speed and memory: `python -m rvmae_jax.benchmarks NAME`.

A file with a `main` is one; the others are what they compare with, and count.
"""
