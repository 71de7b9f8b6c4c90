"""A search for the best options: what is tried next, the trials, and what is shown of them."""
