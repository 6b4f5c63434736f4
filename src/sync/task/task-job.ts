/** graphile-worker's identifiers for the job of a task. Event tasks have their own, so that callbacks do not wait behind full runs. */
export const SYNC_JOB = 'sync-task';
export const EVENT_JOB = 'event-task';

/**
 * SQL that queues a job for each of these tasks; a job that waits already is replaced.
 * @param tasks a SELECT of `id` and `trigger`
 */
export function queueJobs(tasks: string): string {
  return `
SELECT graphile_worker.add_job(CASE t.trigger WHEN 'EVENT' THEN '${EVENT_JOB}' ELSE '${SYNC_JOB}' END,
         json_build_object('taskId', t.id), job_key => 'sync-task:' || t.id, max_attempts => 100)
  FROM (${tasks}) t`;
}
