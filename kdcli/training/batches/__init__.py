"""The batches: which images a step sees, how they are moved and coloured, and what teachers are known to say."""
