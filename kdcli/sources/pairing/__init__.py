"""Which files of a folder are image, depth, mask and ids of one frame, and what was left out."""
