import { type Answer, mutate } from './organisation-view';
import { type TestRollcall, type TestTask, watch } from './rollcall';

/** Asks for a task to be undone; the answer may be a refusal. */
export function askToUndo(rollcall: TestRollcall, taskId: string, more: Record<string, unknown> = {}): Promise<Answer> {
  return mutate(rollcall, 'revertSyncTask', { taskId, ...more }, 'syncTask { id }');
}

/** Undoes a task. @returns the task that has undone it */
export async function undoTask(rollcall: TestRollcall, taskId: string): Promise<TestTask> {
  const { syncTask, userErrors } = await askToUndo(rollcall, taskId);
  expect(userErrors).toEqual([]);
  return watch(rollcall.api, syncTask.id);
}
