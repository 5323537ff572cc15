"""The lab: real Alliance Auth servers in containers, for people and for tests.

`python3 -m lab --help` lists what it can do. Standard library only.
"""
