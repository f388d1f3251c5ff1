"""Measurements of speed and memory: `python -m rvmae_jax.benchmarks NAME`.

Each file with a `main` is one measurement; the others hold shared code.
"""
