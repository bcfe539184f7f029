"""The Server: one frozen model and a store of prompts over HTTP, all prompts in one batch; it refuses what it cannot answer exactly."""
