"""What stands before an input: contexts, methods, retrieval, chat templates, soft prompts and their store."""
