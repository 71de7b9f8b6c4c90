"""How text becomes ids: the closed set of rules, and what they are made of. numpy and tokenizers; no torch, no model."""
