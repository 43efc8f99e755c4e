"""What must hold, by subject."""
