"""Training: the shelf of trainables, the tuning loop, optimisers, and pre-training."""
