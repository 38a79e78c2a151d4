"""Networks of the literature, equal to their authors' own: a checkpoint in the original layout goes in as it is."""
