"""How an index lies on the disk, is written, brought up to date and read back."""
