"""Slicer's Python without Slicer: the real module runs on PySide6 and slicer-core behind PythonQt's rules."""
