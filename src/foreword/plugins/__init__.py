"""For those who write an item of their own: the contracts that it keeps, and stubs to begin from."""
