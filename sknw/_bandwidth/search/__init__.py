"""The global search of one factor of the reference shape."""
