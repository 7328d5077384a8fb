"""Slicing planes: which slices there are, how one is read and how its result is added back."""
