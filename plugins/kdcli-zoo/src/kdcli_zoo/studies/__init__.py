"""The studies that ship with the package."""
