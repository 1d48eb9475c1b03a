"""What a record is, and how raw columns become the network's inputs."""
