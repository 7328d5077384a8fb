"""What the panel of MgImplantSeg consists of: one class a section, and the work that they start.

A folder of its own because Slicer takes every .py beside MgImplantSeg.py for a module; it does not look into folders.
The engine (`MgImplantSegLib`) knows nothing of this package.
"""
