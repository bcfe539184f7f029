"""Recipe: every finding that the reference models are to show, run and judged from its numbers; it refuses to judge what did not run."""
