"""Weights in and out, one file an origin."""
