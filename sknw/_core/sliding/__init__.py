"""One feature: sums that move along with the query, held as moments."""
