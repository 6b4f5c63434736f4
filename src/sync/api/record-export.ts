import { once } from 'node:events';
import express, { type Response, type Router } from 'express';
import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import type { Actor } from '../../access/actor';
import type { Authenticator } from '../../access/authenticator';
import { csvCell } from '../../platform/csv';
import { uuidOf } from '../../platform/typed-id';
import { recordsBetween } from './sync-record.list';
import { type SyncRecordFilter, type SyncRecordObject, toSyncRecord } from './sync-record.type';

/** Where records are exported; not GraphQL, because a file can be larger than any answer. */
export const EXPORT_PATH = '/exports';

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

/** A task's records as CSV (one line for each field that is compared) or NDJSON (one record a line), streamed; masked for viewers. */
export function recordExport(dataSource: DataSource, authenticator: Authenticator, log: Logger): Router {
  const router = express.Router();
  router.get('/sync-tasks/:task/records.:format', async (request, response) => {
    const { task, format } = request.params;
    const actor = await authenticator.authenticate(request.headers.authorization);
    if (!actor)
      return void response
        .status(401)
        .set('www-authenticate', 'Bearer')
        .json({ error: 'This needs a valid API token.' });
    const uuid = uuidOf('task', task);
    const [found] = await dataSource.query('SELECT 1 FROM sync_task WHERE id = $1', [uuid]);
    if (!found || !['csv', 'ndjson'].includes(format))
      return void response.status(404).json({ error: 'There is no such export.' });
    try {
      await send(dataSource, uuid, filterOf(request.query), actor, format as 'csv' | 'ndjson', response);
    } catch (error) {
      log.warn({ err: error, task }, 'export.failed');
      // What was sent cannot be taken back; a cut connection tells that the file is not whole.
      response.destroy();
    }
  });
  return router;
}

function filterOf(query: Readonly<Record<string, unknown>>): SyncRecordFilter {
  const one = (name: string) => (typeof query[name] === 'string' ? query[name] : null);
  const several = (name: string) => one(name)?.split(',') ?? null;
  return {
    objectType: one('objectType'),
    action: several('action'),
    result: several('result'),
    text: one('text'),
    field: one('field'),
  };
}

async function send(
  dataSource: DataSource,
  taskUuid: string,
  filter: SyncRecordFilter,
  actor: Actor,
  format: 'csv' | 'ndjson',
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
  response.end();
}

async function write(response: Response, text: string): Promise<void> {
  if (text !== '' && !response.write(text)) await Promise.race([once(response, 'drain'), once(response, 'close')]);
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
