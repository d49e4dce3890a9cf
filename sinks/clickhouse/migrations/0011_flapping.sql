-- Of a transition: whether its alert goes to and fro, and how many alerts of its rule did not open.

ALTER TABLE watchkeeper_store.transitions
    ADD COLUMN IF NOT EXISTS flapping Bool DEFAULT false,
    ADD COLUMN IF NOT EXISTS left_out UInt64 DEFAULT 0;

CREATE OR REPLACE VIEW watchkeeper.alert_transitions AS
SELECT
    id, alert, rule, rule_version, entity, metric, episode, at, from_state, to_state, severity, revision, outcome, value,
    threshold, partial, summary, flapping, left_out
FROM watchkeeper_store.transitions FINAL;
