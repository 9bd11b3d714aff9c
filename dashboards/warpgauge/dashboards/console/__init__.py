"""The web console: static files that the analyzer's server hands out; they talk to `/api/v1` and import nothing."""
