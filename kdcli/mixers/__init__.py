"""Mixers: new training images from the ones at hand, on their device. Each module is loaded by its entry point."""
