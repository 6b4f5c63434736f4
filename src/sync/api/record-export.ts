import express, { type Response, type Router } from 'express';
import type { GraphQLSchema } from 'graphql';
import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import type { Actor } from '../../access/actor';
import { notFound } from '../../api/errors';
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
      const [found] = await dataSource.query('SELECT 1 FROM sync_task WHERE id = $1', [uuid]);
      if (!found || !isFormat(format)) throw notFound('There is no such task, or no such format: csv or ndjson.');
      const filter = inputOf<SyncRecordFilter>(schema, 'SyncRecordFilter', request.query['filter']);
      await send(dataSource, uuid, filter, actorOf(response), format, response);
    }),
  );
  return router;
}

type Format = 'csv' | 'ndjson';

function isFormat(text: string): text is Format {
  return text === 'csv' || text === 'ndjson';
}

async function send(
  dataSource: DataSource,
  taskUuid: string,
  filter: SyncRecordFilter | undefined,
  actor: Actor,
  format: Format,
  response: Response,
): Promise<void> {
  response.type(format === 'csv' ? 'text/csv; charset=utf-8' : 'application/x-ndjson; charset=utf-8');
  response.attachment(`records.${format}`);
  // The mark tells spreadsheets that the text is UTF-8.
  if (format === 'csv') await write(response, `\ufeff${COLUMNS.join(',')}\r\n`);
  const [{ last }] = await dataSource.query(
    'SELECT coalesce(max(ordinal), 0) AS last FROM sync_record WHERE task_id = $1',
    [taskUuid],
  );
  for (let from = 1; from <= last && !response.destroyed; from += AT_ONCE) {
    const rows = await recordsBetween(dataSource, taskUuid, from, from + AT_ONCE - 1, filter);
    const records = rows.map((row) => toSyncRecord(row, actor.role));
    await write(response, records.map(format === 'csv' ? csvLines : jsonLine).join(''));
  }
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
