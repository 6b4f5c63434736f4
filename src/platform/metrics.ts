import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { DataSource } from 'typeorm';

/** Prometheus metrics of one server. */
export function createMetrics(dataSource: DataSource) {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const requests = new Histogram({
    name: 'rollcall_graphql_request_seconds',
    help: 'Time to answer a GraphQL request over HTTP.',
    labelNames: ['status'],
    buckets: [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    registers: [registry],
  });
  const tasks = new Gauge({
    name: 'rollcall_sync_tasks',
    help: 'Sync tasks by status.',
    labelNames: ['status'],
    registers: [registry],
    async collect() {
      this.reset();
      const rows = await dataSource.query('SELECT status, count(*)::int AS total FROM sync_task GROUP BY status');
      for (const row of rows) this.set({ status: row.status }, row.total);
    },
  });
  const subscriptions = new Gauge({
    name: 'rollcall_subscriptions',
    help: 'Live GraphQL subscriptions of this process.',
    registers: [registry],
  });
  return { registry, requests, tasks, subscriptions };
}

export type Metrics = ReturnType<typeof createMetrics>;
