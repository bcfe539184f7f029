"""Util is what every room may use: errors, whole-or-nothing files, progress, text; it knows nothing of models or tasks."""
