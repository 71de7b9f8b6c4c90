"""How the rows that a query found are put in order: what each way gave, fused, and what the rows themselves say. Knows no index."""
