import { workingTable } from '../../database/working-tables';
import { confirmedGone, inScope, latestOf } from './fields';

/**
 * Who is here under an id that the directory says it changed. Parameters: $1 task, $2 identity source. OFFSET 0: each step is looked up
 * by itself, of which the planner expects one.
 */

/** What the key of a link begins with whose person has no id any more, since somebody else has got it. No directory's ids begin so. */
export const NO_ID = 'chr(1)';

const CHANGES = `
  SELECT e.external_key, e.new_external_key, e.new_external_id, e.received_at
    FROM directory_event e WHERE e.identity_source_id = $2 AND e.new_external_key IS NOT NULL`;

/** Whether the directory has told of any: without that nobody has another's id. Parameter: $1 identity source. */
export const ANY_CHANGES = `
SELECT EXISTS (SELECT FROM directory_event WHERE identity_source_id = $1 AND new_external_key IS NOT NULL) AS any`;

const ofEmployee = (link: string, key: string) =>
  `${link}.identity_source_id = $2 AND ${link}.kind = 'EMPLOYEE' AND ${link}.external_key = ${key}`;

/** Whether the id of link `l` is nobody's any more, as far as is known: told so by itself, or in none of the lists, or missing before. */
const IS_NOBODYS = `(${confirmedGone('EMPLOYEE')}
  OR ((l.missing_since IS NOT NULL OR (SELECT trigger <> 'EVENT' FROM sync_task WHERE id = $1))
      AND (l.external_key IN (SELECT external_key FROM latest)) IS NOT TRUE))`;

/** When the person of link `l` got its id by a change, the last time before they were read. */
const GOT_AT = `(
  SELECT max(got.received_at) FROM directory_event got
   WHERE got.identity_source_id = $2 AND got.new_external_key = l.external_key AND got.received_at <= l.read_at)`;

/** Whether the person `w` of link `l` had its id at a moment. Who is missing was last read when that was found. */
const hadIdAt = (moment: string) =>
  `(l.read_at < ${moment} OR (w.created_at < ${moment} AND coalesce(${GOT_AT} <= ${moment}, true)))`;

/** Since when they have had it, as far as is known: the first who gives it up after that is they. */
const HAD_SINCE = `CASE WHEN l.missing_since IS NULL THEN l.read_at ELSE greatest(w.created_at, ${GOT_AT}) END`;

/**
 * Whether somebody is still here under the former id of a change, which is nobody's by now: whoever else has the new one here was taken
 * for somebody else, or has gone.
 */
const isOutstanding = (change: string) => `EXISTS (
  SELECT FROM link l JOIN employee w ON w.id = l.local_id
   WHERE ${ofEmployee('l', `${change}.external_key`)} AND ${change}.external_key <> ${change}.new_external_key
     AND ${hadIdAt(`${change}.received_at`)} AND ${IS_NOBODYS}
     AND NOT EXISTS (SELECT FROM directory_event given
                      WHERE given.identity_source_id = $2 AND given.new_external_key IS NOT NULL AND given.external_key = l.external_key
                        AND given.received_at > ${HAD_SINCE} AND given.received_at < ${change}.received_at OFFSET 0) OFFSET 0)`;

/** Whether a change has been told before: then it may be the former one, told again. */
const isToldAgain = (change: string) => `EXISTS (
  SELECT FROM directory_event before
   WHERE before.identity_source_id = $2 AND before.external_key = ${change}.external_key
     AND before.new_external_key = ${change}.new_external_key AND before.received_at < ${change}.received_at OFFSET 0)`;

/**
 * Whether somebody here has the new id of a change, and had not gone on to another one by a moment. Who was read before that was told
 * has it no more, since the directory gives nobody an id that another has.
 */
const isHeld = (change: string, moment: string) => `EXISTS (
  SELECT FROM link l WHERE ${ofEmployee('l', `${change}.new_external_key`)}
     AND NOT EXISTS (SELECT FROM directory_event given
                      WHERE given.identity_source_id = $2 AND given.new_external_key IS NOT NULL
                        AND given.external_key = ${change}.new_external_key
                        AND given.received_at > l.read_at AND given.received_at <= ${moment} OFFSET 0)
     AND (l.read_at >= ${change}.received_at OR ${isToldAgain(change)}) AND NOT ${isOutstanding(change)} OFFSET 0)`;

/**
 * Ids that the directory itself says it changed: nothing else proves that two ids are one person. From each new id back through what
 * was told, the latest first, to the one that is here; not past somebody who has gone on to another id, and not to whom was seen under
 * the old id after that was told. Only where the new id was read: whoever else has the old one now is somebody new.
 */
export const COLLECT_RENAMES = workingTable(
  'renamed',
  `
WITH RECURSIVE change AS MATERIALIZED (${CHANGES}
), named AS MATERIALIZED (
  SELECT external_key FROM change UNION SELECT new_external_key FROM change
), latest AS MATERIALIZED (${latestOf('named')}
), told AS MATERIALIZED (
  SELECT DISTINCT change.new_external_key AS external_key FROM change WHERE NOT ${isHeld('change', `'infinity'`)}
), walk AS (
  SELECT external_key AS new_external_key, page_id, external_key AS at, NULL AS went_to, 'infinity'::timestamptz AS told_at
    FROM latest WHERE (external_key IN (SELECT external_key FROM told)) IS TRUE
  UNION ALL
  SELECT w.new_external_key, w.page_id, t.external_key, w.at, t.received_at
    FROM walk w
    CROSS JOIN LATERAL (SELECT e.external_key, e.new_external_key, e.received_at FROM directory_event e
                         WHERE e.identity_source_id = $2 AND e.new_external_key = w.at AND e.received_at < w.told_at
                         ORDER BY e.received_at DESC LIMIT 1) t
   WHERE NOT ${isHeld('t', 't.received_at')}
     AND NOT EXISTS (SELECT FROM directory_event onward
                      WHERE onward.identity_source_id = $2 AND onward.new_external_key IS NOT NULL AND onward.external_key = w.at
                        AND onward.received_at >= t.received_at AND onward.received_at < w.told_at OFFSET 0)
), found AS (
  -- Of several on one way, the others have lost theirs to the one who comes from furthest.
  SELECT DISTINCT ON (k.new_external_key) k.new_external_key, l.external_key AS old_external_key, k.told_at
    FROM walk k
    JOIN link l ON ${ofEmployee('l', 'k.at')}
    JOIN employee w ON w.id = l.local_id
    JOIN staged_employee s ON s.page_id = k.page_id AND s.external_key = k.new_external_key
   WHERE k.at <> k.new_external_key AND s.status <> 'LEFT' AND ${inScope('s')}
     AND (l.read_at < k.told_at OR l.missing_since IS NOT NULL OR ${confirmedGone('EMPLOYEE')}) AND ${hadIdAt('k.told_at')}
     AND NOT EXISTS (SELECT FROM directory_event earlier
                      WHERE earlier.identity_source_id = $2 AND earlier.new_external_key <> k.went_to AND earlier.external_key = k.at
                        AND earlier.received_at > ${HAD_SINCE} AND earlier.received_at < k.told_at
                        AND NOT ${isHeld('earlier', 'earlier.received_at')} OFFSET 0)
   ORDER BY k.new_external_key, k.told_at
)
SELECT DISTINCT ON (old_external_key) new_external_key, old_external_key, told_at FROM found ORDER BY old_external_key, told_at DESC`,
  ['new_external_key', 'old_external_key'],
);

/**
 * Who is here under an id that was read as somebody else's: whose id was changed to one that this task has not read, and who had one
 * that somebody here has got. `holder` says where they are found from then on: under the last id they are told to have, while nobody
 * has that, else under none.
 */
export const COLLECT_DISPLACED = workingTable(
  'displaced',
  `
WITH RECURSIVE change AS MATERIALIZED (${CHANGES}
), former AS MATERIALIZED (
  SELECT DISTINCT external_key FROM change
), latest AS (${latestOf('former')}
), onward AS (
  SELECT l.local_id, l.external_key, latest.read_at, l.external_key AS at, l.external_id AS id, NULL::timestamptz AS told_at,
         ${HAD_SINCE} AS since
    FROM latest
    JOIN link l ON ${ofEmployee('l', 'latest.external_key')}
    JOIN employee w ON w.id = l.local_id
   WHERE (l.external_key IN (SELECT old_external_key FROM renamed)) IS NOT TRUE
  UNION ALL
  SELECT o.local_id, o.external_key, o.read_at, e.new_external_key, e.new_external_id, coalesce(o.told_at, e.received_at), e.received_at
    FROM onward o
    CROSS JOIN LATERAL (SELECT e.new_external_key, e.new_external_id, e.received_at FROM directory_event e
                         WHERE e.identity_source_id = $2 AND e.new_external_key IS NOT NULL AND e.external_key = o.at AND e.received_at > o.since
                           AND NOT ${isHeld('e', 'e.received_at')}
                         ORDER BY e.received_at LIMIT 1) e
), last AS (
  SELECT *, row_number() OVER (PARTITION BY at ORDER BY since DESC) AS place
    FROM (SELECT DISTINCT ON (local_id) * FROM onward ORDER BY local_id, since DESC) o
   WHERE at <> external_key AND told_at < read_at
)
SELECT last.external_key, last.local_id, last.told_at, jsonb_strip_nulls(jsonb_build_object('localId', last.local_id,
         'externalKey', CASE WHEN free.is THEN last.at END, 'externalId', CASE WHEN free.is THEN last.id END)) AS holder
  FROM last
  CROSS JOIN LATERAL (SELECT last.place = 1
                             AND NOT EXISTS (SELECT FROM link l WHERE ${ofEmployee('l', 'last.at')}
                                                AND (l.external_key IN (SELECT old_external_key FROM renamed)) IS NOT TRUE)
                             AND (last.at IN (SELECT new_external_key FROM renamed)) IS NOT TRUE AS is) free
UNION ALL
SELECT l.external_key, l.local_id, NULL, jsonb_build_object('localId', l.local_id)
  FROM renamed r JOIN link l ON ${ofEmployee('l', 'r.new_external_key')}
 WHERE (l.external_key IN (SELECT old_external_key FROM renamed)) IS NOT TRUE AND (l.local_id IN (SELECT local_id FROM last)) IS NOT TRUE`,
  ['external_key', 'local_id'],
);
