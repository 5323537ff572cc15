"""What runs inside a server and nowhere else: how it is made, its tasks, and the scripts that make traffic."""
