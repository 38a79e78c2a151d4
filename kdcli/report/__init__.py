"""Reports: one HTML file that needs nothing else, and the tables that it shares with the terminal."""
