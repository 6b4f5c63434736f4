/**
 * The tasks whose snapshots are kept, as SQL: each source's last complete one that was applied, with and without people. What
 * events named is no snapshot.
 */
export const LAST_SNAPSHOTS = `
SELECT DISTINCT ON (identity_source_id, includes_employees) id FROM sync_task
 WHERE mode = 'APPLY' AND trigger IN ('MANUAL', 'SCHEDULED') AND (certificate ->> 'complete')::boolean AND applied_at IS NOT NULL
 ORDER BY identity_source_id, includes_employees, id DESC`;
