"""From kernel sums to answers: prepared data, coordinates of a bandwidth, averages and weights."""
