"""Students that are handed on: the card that a run tells of itself, and the folder of files that goes to the hub."""
