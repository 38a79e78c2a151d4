"""Blocks that teachers and students share: normalisation, decoder, heads, taps on inner features."""
