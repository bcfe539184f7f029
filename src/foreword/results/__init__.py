"""Results is what finished trials say: records, statistics, the rows of a comparison and the choice of a method."""
