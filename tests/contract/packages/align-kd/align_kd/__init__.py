"""Several teachers are first brought into one space; then the student learns its relations."""
