"""The step: what one batch goes through, from mixers to the loss to go back from."""
