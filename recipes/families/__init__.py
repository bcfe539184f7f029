"""Recipe: which short cuts of the engine are exact for which family of models, found on tiny models; it refuses to trust a name."""
