"""The settings of a training, read from TOML."""
