"""One part of a run by itself, for the commands that do no more: mixed sets, teachers' maps, a fit, a look."""
