"""Seeded, mutated inputs for everything that foreword reads; it refuses to call a traceback, a crash, 2 s or 1 GB an answer.

`make fuzz` runs it; what ever failed stands in corpus.jsonl, which the tests run each time.
"""
