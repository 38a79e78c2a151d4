"""The run: stages and twin in their folder, from the checks before the first step to report and exported student."""
