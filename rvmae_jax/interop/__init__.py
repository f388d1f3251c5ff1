"""Weights in and out, one file for each origin."""
