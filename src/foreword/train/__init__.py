"""Train fits what a method trains: trainables, the tuning loop, optimisers, and pre-training."""
