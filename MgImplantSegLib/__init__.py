"""The engine of MgImplantSeg. Importing it imports neither torch nor vtk nor slicer."""

__version__ = "0.1.0"
