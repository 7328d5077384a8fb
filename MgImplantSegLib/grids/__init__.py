"""Volumes, label maps and regions, and the voxel grids that they lie on."""
