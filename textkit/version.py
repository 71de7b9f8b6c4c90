"""textkit's version, and its name for pip. Imports nothing, so that anything may import it."""

__version__ = "0.1.0"
# Its name for pip: `textkit` on the package index is another project, and an upgrade would put that in its place.
DISTRIBUTION = "textkit-onnx"
