import type { DataSource } from 'typeorm';
import { VERSIONED_COLUMNS, wasBy } from './history';

/** Whoever has just asked for a moment is still answered. */
const GRACE = `interval '1 hour'`;

/**
 * Moves the beginning of what is kept forward, so that nobody asks for what is about to go.
 * @returns conditions of former versions that nobody can ask for any more, by table
 */
export async function outlivedHistory(dataSource: DataSource, days: number): Promise<Record<string, string>> {
  const cutoff = `now() - interval '${days} days'`;
  await dataSource.query(`UPDATE organisation_history SET kept_from = ${cutoff} WHERE kept_from < ${cutoff}`);
  const [{ last, overtaken, at }] = await dataSource.query(
    `SELECT m.last, m.overtaken, c.at FROM (SELECT ${cutoff} - ${GRACE} AS at) c, organisation_moment(c.at) m`,
  );
  const ended = wasBy('until', { at, last: Number(last), overtaken: overtaken?.map(Number) ?? null });
  const versions = Object.keys(VERSIONED_COLUMNS).map((table) => [`${table}_version`, ended]);
  return {
    ...Object.fromEntries(versions),
    source_deletion: ended,
    // The last one before is what a quiet time afterwards goes by.
    organisation_change: `number < ${Number(last)} AND at < ${cutoff} - ${GRACE}`,
  };
}
