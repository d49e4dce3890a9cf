"""Who processes: one Faust app with the rollup agent and the evaluate agent, and what keeps them honest.

`faust` is imported in `agents.runtime` only.
"""
