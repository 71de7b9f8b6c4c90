"""What the benchmarks share: what a command or a training costs, a clone that is not installed, the page and its tables."""
