import express, { type Response, type Router } from 'express';
import type { GraphQLSchema } from 'graphql';
import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import type { Actor } from '../../access/actor';
import { notFound, notYet } from '../../api/errors';
import { inputOf, sendFile, write } from '../../api/exports';
import { actorOf } from '../../api/requests';
import { csvCell } from '../../platform/csv';
import { uuidOf } from '../../platform/typed-id';
import { recordsBetween } from './sync-record.list';
import { type SyncRecordFilter, type SyncRecordObject, toSyncRecord } from './sync-record.type';

const AT_ONCE = 500;
const COLUMNS = [
  'externalId',
  'objectType',
  'name',
  'action',
  'result',
  'reasonCode',
  'field',
  'thirdPartyField',
  'thirdPartyValue',
  'saseValueBefore',
  'saseValueAfter',
  'changed',
  'kept',
];

/**
 * A task's records as CSV (one line for each field that is compared) or NDJSON (one record a line), streamed: those of
 * `SyncTask.records(filter)`, given as the JSON of its variable; masked for viewers.
 */
export function recordExport(schema: GraphQLSchema, dataSource: DataSource, log: Logger): Router {
  const router = express.Router();
  router.get('/sync-tasks/:task/records.:format', (request, response) =>
    sendFile(response, log, async () => {
      const { task, format } = request.params;
      const uuid = uuidOf('task', task);
      const plan = await findPlan(dataSource, uuid);
      if (!plan || !isFormat(format)) throw notFound('There is no such task, or no such format: csv or ndjson.');
      if (plan.unfinished)
        throw notYet('The task is still being planned: ask again once it applies its records, or has ended.');
      const filter = inputOf<SyncRecordFilter>(schema, 'SyncRecordFilter', request.query['filter']);
      await send(dataSource, plan, filter, actorOf(response), format, response);
    }),
  );
  return router;
}

interface Plan {
  readonly taskUuid: string;
  /** Which of the task's plans. */
  readonly number: number;
  /** The last record's place in it. */
  readonly last: number;
  /** Whether records are still to come: a file of those so far would look whole. */
  readonly unfinished: boolean;
}

async function findPlan(dataSource: DataSource, taskUuid: string): Promise<Plan | undefined> {
  const [row] = await dataSource.query(
    `SELECT t.id AS "taskUuid", t.plan AS number, t.status IN ('QUEUED', 'RUNNING') AND t.planned_at IS NULL AS unfinished,
            (SELECT coalesce(max(ordinal), 0) FROM sync_record WHERE task_id = t.id) AS last
       FROM sync_task t WHERE t.id = $1`,
    [taskUuid],
  );
  return row;
}

type Format = 'csv' | 'ndjson';

function isFormat(text: string): text is Format {
  return text === 'csv' || text === 'ndjson';
}

async function send(
  dataSource: DataSource,
  plan: Plan,
  filter: SyncRecordFilter | undefined,
  actor: Actor,
  format: Format,
  response: Response,
): Promise<void> {
  response.type(format === 'csv' ? 'text/csv; charset=utf-8' : 'application/x-ndjson; charset=utf-8');
  response.attachment(`records.${format}`);
  // The mark tells spreadsheets that the text is UTF-8.
  if (format === 'csv') await write(response, `\ufeff${COLUMNS.join(',')}\r\n`);
  for (let from = 1; from <= plan.last && !response.destroyed; from += AT_ONCE) {
    const rows = await recordsBetween(dataSource, plan.taskUuid, [from, from + AT_ONCE - 1], plan.number, filter);
    const records = rows.map((row) => toSyncRecord(row, actor.role));
    await write(response, records.map(format === 'csv' ? csvLines : jsonLine).join(''));
  }
  const now = await findPlan(dataSource, plan.taskUuid);
  if (now?.number !== plan.number) throw new Error('The plan was made again while it was exported.');
}

function jsonLine({
  id,
  objectType,
  externalId,
  name,
  action,
  result,
  reasonCode,
  reason,
  comparison,
}: SyncRecordObject): string {
  return `${JSON.stringify({ id, objectType, externalId, name, action, result, reasonCode, reason, comparison })}\n`;
}

function csvLines(record: SyncRecordObject): string {
  const { externalId, objectType, name, action, result, reasonCode } = record;
  return record.comparison
    .map((c) => [
      externalId,
      objectType,
      name,
      action,
      result,
      reasonCode,
      c.field,
      c.thirdPartyField,
      c.thirdPartyValue,
      c.saseValueBefore,
      c.saseValueAfter,
      String(c.changed),
      c.kept,
    ])
    .map((cells) => `${cells.map(csvCell).join(',')}\r\n`)
    .join('');
}
