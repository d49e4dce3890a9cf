"""Who processes: the Faust app, the rollup agent and the evaluate agent."""
