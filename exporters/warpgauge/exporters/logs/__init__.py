"""What the operating system writes down about devices."""
