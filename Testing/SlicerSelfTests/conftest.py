"""These scripts run in 3D Slicer only; pytest leaves them alone."""

collect_ignore_glob = ["*.py"]
