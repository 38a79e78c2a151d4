"""Students with fewer channels: which ones go, and the proof that nothing else changed."""
