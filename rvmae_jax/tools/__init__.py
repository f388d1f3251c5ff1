"""Commands around training: a file with a `main` is one.

Folders hold what the larger ones are made of.
"""
