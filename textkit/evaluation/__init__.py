"""Scores of a model against data with answers; numpy only."""
