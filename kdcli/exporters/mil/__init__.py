"""Core ML's programs (MIL) followed operator by operator with PyTorch, where no runtime of Apple's is.

Each operator is written down after its documented definition (coremltools, opsets of iOS 15 and 16), not after the
PyTorch operator that it may have been made of.
"""
