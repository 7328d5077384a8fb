"""The model file and its card."""
