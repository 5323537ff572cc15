"""This machine: what it must have, its network, SSH keys, the inventory and Ansible's commands."""
