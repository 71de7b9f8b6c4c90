"""What families of models share in torch. Knows no family and no task."""
