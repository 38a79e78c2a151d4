"""Public data sets as they are unpacked, one layout a file: it finds pairs and names an encoding."""
