"""The verbs that belong to no task, one file each. Each parses, calls one function and writes."""
