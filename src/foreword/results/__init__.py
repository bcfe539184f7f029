"""What finished trials say: records, statistics, the rows of a comparison and the recommendation."""
