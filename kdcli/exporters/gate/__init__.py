"""The gate: a file has to give the numbers of the network that it was made of, or is not kept."""
