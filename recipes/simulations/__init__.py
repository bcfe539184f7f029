"""Known truths, drawn again and again, against which the statistics of a comparison are held."""
