/** What a task event shows. */
export interface ShownTask {
  status: string;
  progress: {
    phase: string;
    percent: number;
    departmentsDone: number;
    departmentsTotal: number | null;
    employeesDone: number;
    ratePerSecond: number | null;
  };
  counters: { objectType: string; action: string; planned: number; applied: number; held: number; failed: number }[];
}

const WIDTH = 30;

/** One line: a bar, the phase, counts and rate. */
export function progressLine(task: ShownTask): string {
  const { phase, percent, departmentsDone, departmentsTotal, employeesDone, ratePerSecond } = task.progress;
  const full = Math.round((percent / 100) * WIDTH);
  const bar = '█'.repeat(full) + '░'.repeat(WIDTH - full);
  const rate = ratePerSecond === null ? '' : `  ${Math.round(ratePerSecond)}/s`;
  return `  ${bar} ${percent.toFixed(0).padStart(3)} %  ${phase.padEnd(9)} ${departmentsDone}/${departmentsTotal ?? '?'} departments  ${employeesDone} people${rate}`;
}

let shownPhase = '';

/** Draws over the last line in a terminal; elsewhere each phase and the end get a line of their own. */
export function drawProgress(task: ShownTask, last: boolean): void {
  if (process.stdout.isTTY) process.stdout.write(`\r\x1b[2K${progressLine(task)}${last ? '\n' : ''}`);
  else if (last || task.progress.phase !== shownPhase) console.log(progressLine(task));
  shownPhase = task.progress.phase;
}

/** Such as "12 employees MOVE, 1 department CREATE"; "nothing" when nothing changed. */
export function changesLine(task: ShownTask): string {
  const changes = task.counters.filter((counter) => counter.action !== 'NONE');
  if (changes.length === 0) return 'nothing changed';
  return changes
    .map(({ action, applied, failed, objectType }) => {
      const noun = objectType.toLowerCase() + (applied === 1 ? '' : 's');
      return `${applied} ${noun} ${action.toLowerCase()}${failed > 0 ? ` (${failed} failed)` : ''}`;
    })
    .join(', ');
}
