"""Surfaces of segments and of meshes, and what is measured on them."""
