"""Infer answers inputs with a model and a prompt, alone or as an ensemble of prompts."""
