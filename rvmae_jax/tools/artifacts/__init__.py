"""How `tools/check_artifact` runs an artifact without this library."""
