"""How text becomes ids: the closed set of rules and their parts. numpy and tokenizers; no torch, no model."""
