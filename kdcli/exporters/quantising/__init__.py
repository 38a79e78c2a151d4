"""Eight bits: which ranges of numbers they stand for, which convolutions stay in float, and each format's own tool."""
