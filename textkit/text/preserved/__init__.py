"""What comes through a translation as it is, or as it is worth: where it stands, and what stands for it."""
