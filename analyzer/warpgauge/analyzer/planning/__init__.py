"""The planner: where pods should go, and which moves of running pods pay; pure functions over a pool of nodes.

The questions a scheduling core asks. `recommend/` is the other half: it turns findings about devices and jobs into
documents. What is here knows nothing of findings, and its plans are only printed or handed on, never carried out.

Reading order: `pool` (the words), `cluster` (what is left), `placer` with `policies/` (where the next pod goes),
`occupancy` and `moves` (what runs where, and a plan to change it), then one file per question.
"""
