"""podman: images of the distributions and of Alliance Auth, and the hosts made of them."""
