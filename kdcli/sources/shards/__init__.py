"""Tar files of many samples (webdataset's shards): where each file lies in them, and which belong together."""
