"""The lab's own Django app: tasks and pages whose beginning and end can be counted."""
