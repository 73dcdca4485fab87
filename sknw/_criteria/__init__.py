"""What the choice of a bandwidth minimizes: the leave-one-out error, GCV and AICc, with derivatives."""
