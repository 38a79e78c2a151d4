"""What several systems share: tokens, distributions over depth, branches, sizes."""
