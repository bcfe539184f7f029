"""Studies: which trials answer a question, and running those that are missing; this room refuses to compute a metric."""
