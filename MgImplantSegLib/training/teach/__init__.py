"""Teach: a model learns the look of scans from a few labelled slices; `teach` is in `...training.teach.run`."""
