"""From kernel sums to predictions: training samples, coordinates, averages and weights."""
