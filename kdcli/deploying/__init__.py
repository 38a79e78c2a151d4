"""What a model is given on its way to a device: images to calibrate on without data, and a measure of what it costs."""
