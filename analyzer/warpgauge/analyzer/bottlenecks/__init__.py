"""What holds a job back."""
