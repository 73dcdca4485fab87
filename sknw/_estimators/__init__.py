"""What users construct and call."""
