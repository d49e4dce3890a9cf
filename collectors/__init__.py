"""Where it comes from: probes of this host, each with a deadline of its own."""
