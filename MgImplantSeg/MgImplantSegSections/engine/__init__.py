"""The engine in a child process, and what is exchanged with it."""
