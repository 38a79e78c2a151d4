"""Students: small depth networks that learn."""
