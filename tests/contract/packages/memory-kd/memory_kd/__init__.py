"""What is remembered of earlier steps: embeddings in a bank, a student of the same age, an average of the own past."""
