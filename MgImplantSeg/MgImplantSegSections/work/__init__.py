"""What the sections do: the work on nodes, tables and views."""
