"""Plugins: found in metadata, loaded one at a time, described, judged; whatever goes wrong stays with its plugin."""
