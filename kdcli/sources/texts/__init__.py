"""Text files that people write: lists of files, cameras, and the numbers in them."""
