"""What a run costs, measured on a real Alliance Auth server in a container."""
