"""Config is what a user sets, in flags, TOML or Python: the settings of a run and of tuning, checked."""
