"""How the rows that a query found are put in order: what each way gave, fused, and what the rows say. Knows no index."""
