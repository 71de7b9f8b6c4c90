"""The exported folder: its contents and its manifest, read with suspicion, written whole or not at all."""
