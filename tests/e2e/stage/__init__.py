"""The stage of the checks: the parts that others wrote, the gateway between them, and what is heard of it."""
