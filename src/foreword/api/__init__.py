"""The Python interface: compare, tune, evaluate and answer in one call each, as the command line does, on files or on data in memory."""
