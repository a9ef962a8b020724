"""What every topic is: its key, its partitions, who writes it and who reads it."""
