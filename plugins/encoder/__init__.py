"""Encoders of lines: the families `classifier`, `multitask`, `sentence-encoder` and `dssm`, over one set of blocks."""
