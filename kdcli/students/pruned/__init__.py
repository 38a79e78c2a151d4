"""Students with fewer channels: which ones are cut is found out here, and layers are rebuilt by the shapes of a file."""
