"""Pictures: for a terminal, and by matplotlib. Knows no model."""
