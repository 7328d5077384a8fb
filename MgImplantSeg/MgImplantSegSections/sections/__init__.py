"""What one sees: the sections of the panel and their parts."""
