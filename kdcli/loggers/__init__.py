"""Loggers that come with kdcli: TensorBoard, Weights & Biases, MLflow. Each package is imported when asked for."""
