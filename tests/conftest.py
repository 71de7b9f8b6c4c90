"""Before any test module imports onnxruntime: textkit's import switches off what it would report to its maker."""

import textkit  # noqa: F401
