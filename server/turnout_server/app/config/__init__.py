"""The configuration: a strict tree, read from YAML and the environment, with each key's line."""
