"""Device -> sample -> page: the agent and its collectors."""
