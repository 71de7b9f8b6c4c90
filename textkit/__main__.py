"""`python -m textkit` is `textkit`."""

from textkit.cli import main

main()
