import { Client } from 'pg';
import { administer } from './databases';

/** A node of a plan as EXPLAIN (ANALYZE, FORMAT JSON) tells it; rows are those of one loop (https://www.postgresql.org/docs/current/using-explain.html). */
interface PlanNode {
  readonly 'Actual Rows'?: number;
  readonly 'Actual Loops'?: number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Rows Removed by Join Filter'?: number;
  readonly Plans?: readonly PlanNode[];
}

/** A statement with the most rows that any part of its plan went through. */
export interface StatementWork {
  readonly text: string;
  readonly rows: number;
}

/** Has PostgreSQL tell each connection to a database, from its start, what the plans of its statements did. */
export async function tellPlans(url: string): Promise<void> {
  const name = new URL(url).pathname.slice(1);
  const settings = {
    session_preload_libraries: 'auto_explain',
    'auto_explain.log_min_duration': '0',
    'auto_explain.log_analyze': 'on',
    'auto_explain.log_timing': 'off',
    'auto_explain.log_nested_statements': 'on',
    'auto_explain.log_format': 'json',
    'auto_explain.log_level': 'notice',
  };
  for (const [setting, value] of Object.entries(settings))
    await administer(url, `ALTER DATABASE ${name} SET ${setting} = '${value}'`);
}

/** What the statements of this process, which is the server's too, did while something ran, on the connections that it opened meanwhile. */
export async function workOfStatements(work: () => Promise<unknown>): Promise<StatementWork[]> {
  const done: StatementWork[] = [];
  const connect = Client.prototype.connect;
  Client.prototype.connect = function (this: Client, ...args: unknown[]) {
    this.on('notice', ({ message }) => {
      const at = message?.startsWith('duration: ') ? message.indexOf('{') : -1;
      if (!message || at < 0) return;
      const told: { 'Query Text': string; Plan: PlanNode } = JSON.parse(message.slice(at));
      done.push({ text: told['Query Text'], rows: mostRows(told.Plan) });
    });
    return (connect as (...a: unknown[]) => unknown).apply(this, args);
  } as typeof connect;
  try {
    await work();
  } finally {
    Client.prototype.connect = connect;
  }
  return done;
}

function mostRows(node: PlanNode): number {
  const { 'Rows Removed by Filter': filtered = 0, 'Rows Removed by Join Filter': unjoined = 0 } = node;
  const own = ((node['Actual Rows'] ?? 0) + filtered + unjoined) * (node['Actual Loops'] ?? 0);
  return Math.max(own, ...(node.Plans ?? []).map(mostRows));
}
