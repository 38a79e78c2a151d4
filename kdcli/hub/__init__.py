"""The hub of Hugging Face: which repository ``hf:ORG/NAME`` means, what is taken from it, and how files get there."""
