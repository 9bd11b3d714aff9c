"""The words every part shares; standard library only."""
