"""Samples, patches and augmentation."""
