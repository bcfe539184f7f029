"""Inference: answers of a model and a prompt, or of an ensemble of prompts."""
