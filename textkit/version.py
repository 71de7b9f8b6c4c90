"""What is installed: textkit's version, and what pip calls it. Imports nothing, so that anything may import it."""

__version__ = "0.1.0"
# What pip calls it: `textkit` on the package index is another project, and an upgrade would put it in place of this one.
DISTRIBUTION = "textkit-onnx"
