"""Several processes that train one network: how they start and meet, what they send each other, and when."""
