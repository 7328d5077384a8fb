"""What a training is told, read from TOML."""
