"""Pictures as functions of arrays."""
