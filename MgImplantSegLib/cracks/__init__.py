"""Cracks of the degradation layer and canals of bone, found by their grey values after the segmentation."""
