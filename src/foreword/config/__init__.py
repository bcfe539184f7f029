"""Settings that a user makes, in flags, TOML or Python: those of a run and those of tuning, validated."""
