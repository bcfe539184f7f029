"""Sun et al. 2023's main table, similarity bins and transfer on SmolLM2-135M-Instruct with the real task files."""
