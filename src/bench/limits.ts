import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Client } from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import { mapConcurrently } from '../connector/map-concurrently';
import { DEFAULT_COMPANY } from '../sandbox/company';

/** What a figure is measured against: the least that the same work can cost on this machine, now. */

const AT_ONCE = 8;

/** Every page of a company, fetched and parsed, eight at a time. @returns milliseconds */
export async function fetchAndParse(wecomUrl: string): Promise<number> {
  const get = async (path: string) => (await fetch(`${wecomUrl}/cgi-bin/${path}`)).json() as Promise<never>;
  const { corpId, secret } = DEFAULT_COMPANY;
  const { access_token: token } = await get(`gettoken?corpid=${corpId}&corpsecret=${secret}`);
  const begun = performance.now();
  const { department } = (await get(`department/list?access_token=${token}`)) as { department: { id: number }[] };
  let people = 0;
  const pages = mapConcurrently(department, AT_ONCE, ({ id }) =>
    get(`user/list?access_token=${token}&department_id=${id}`),
  );
  for await (const page of pages) people += (page as { userlist: unknown[] }).userlist.length;
  const { taglist } = (await get(`tag/list?access_token=${token}`)) as { taglist: { tagid: number }[] };
  for await (const _ of mapConcurrently(taglist, AT_ONCE, ({ tagid }) =>
    get(`tag/get?access_token=${token}&tagid=${tagid}`),
  ));
  if (people === 0) throw new Error('The sandbox has nobody.');
  return performance.now() - begun;
}

/** In the order of their references. Rows of the task itself come along, so that records have what they refer to. */
const TABLES = ['identity_source', 'sync_task', 'department', 'employee', 'membership', 'link', 'sync_record'];
const TIMED = new Set(['department', 'employee', 'membership', 'link', 'sync_record']);

/**
 * COPY of the rows that a synchronization wrote, links and records included, into the same tables with the same indexes of
 * another database.
 * @returns milliseconds
 */
export async function copySameRows(fromUrl: string, toUrl: string): Promise<number> {
  const [from, to] = [new Client({ connectionString: fromUrl }), new Client({ connectionString: toUrl })];
  await Promise.all([from.connect(), to.connect()]);
  let spent = 0;
  try {
    for (const table of TABLES) {
      const chunks: Buffer[] = [];
      for await (const chunk of from.query(copyTo(`COPY ${table} TO STDOUT`))) chunks.push(chunk);
      await to.query('BEGIN');
      await to.query('SET CONSTRAINTS ALL DEFERRED');
      const begun = performance.now();
      await pipeline(Readable.from(chunks), to.query(copyFrom(`COPY ${table} FROM STDIN`)));
      await to.query('COMMIT');
      if (TIMED.has(table)) spent += performance.now() - begun;
    }
    return spent;
  } finally {
    await Promise.all([from.end(), to.end()]);
  }
}
