"""What happens on a host, asked from outside: its programs, traffic on it, and what the traffic counts."""
