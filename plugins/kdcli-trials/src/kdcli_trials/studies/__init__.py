"""Studies of what was tried."""
