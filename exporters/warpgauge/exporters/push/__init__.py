"""What the agent pushes: each sink with a durable queue and two threads of its own, so that nobody waits for it."""
