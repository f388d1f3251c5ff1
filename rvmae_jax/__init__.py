"""Recurrent video masked autoencoders in JAX: pre-train, compare, use."""

__version__ = '0.1.0'
