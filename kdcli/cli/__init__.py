"""The command line: one light file a command, heavy imports inside the bodies."""
