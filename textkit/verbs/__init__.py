"""The verbs that belong to no task, a file each: parse, call one function, write."""
