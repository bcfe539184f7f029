"""Prompts is what stands before an input: contexts, methods, retrieval, chat, soft prompts and their store."""
