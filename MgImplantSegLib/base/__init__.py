"""What every part stands on: errors, events, files, options and choices, the machine."""
