"""The command line: one file a command, nothing that Python can't do without it."""
