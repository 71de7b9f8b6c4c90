"""torch code that families of models share. Knows no family and no task."""
