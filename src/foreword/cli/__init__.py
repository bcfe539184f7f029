"""The command line: parse, call one function, print; one file per verb, and it refuses to import a model library to show help."""
