"""What operators decide: rules, silences, what becomes of incidents."""
