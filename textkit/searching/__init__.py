"""The search over a graph that takes a token and gives the next: greedy, beams, samples. Knows no task and no text."""
