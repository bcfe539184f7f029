"""Data is what is answered: readers of files, examples, conversations, templates and tasks."""
