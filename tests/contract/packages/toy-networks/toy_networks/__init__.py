"""Depth networks of a few thousand parameters, as a third party would ship them."""
