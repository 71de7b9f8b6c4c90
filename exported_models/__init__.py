"""The default models, a folder each; installed as the package textkit_models and found by path."""
