import path from 'node:path';
import { parseArgs } from 'node:util';
import { ACTIONS, type Action, Laboratory, type Outcome } from './laboratory';

const SERVER = path.join(__dirname, '..', 'main.js');

/** Kills servers in the middle of synchronizations, as many times as asked for, and looks at what is left. */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      runs: { type: 'string', default: '200' },
      seed: { type: 'string', default: '1' },
      action: { type: 'string' },
    },
  });
  const only = ACTIONS.find((action) => action === values.action);
  if (values.action && !only) throw new Error(`--action is one of ${ACTIONS.join(', ')}.`);
  const laboratory = await Laboratory.open([SERVER]);
  const outcomes: Outcome[] = [];
  try {
    for (let i = 0; i < Number(values.runs); i++) {
      const outcome = await laboratory.run(Number(values.seed) + i, only);
      outcomes.push(outcome);
      console.log(line(outcome));
      if (outcome.failures.length > 0) {
        for (const failure of outcome.failures) console.log(`  ${failure}`);
        console.log(`  again: npm run crash -- --runs 1 --seed ${outcome.seed} --action '${outcome.action}'`);
      }
    }
  } finally {
    await laboratory.close();
  }
  summarise(outcomes);
  process.exitCode = outcomes.some((o) => o.failures.length > 0) ? 1 : 0;
}

function line({ seed, action, at, during, status, recoveryMs, failures }: Outcome): string {
  const verdict = failures.length === 0 ? 'as undisturbed' : 'FAILED';
  return `seed ${seed}: ${action} at ${at} ms, ${during}; ${status} after ${recoveryMs} ms, ${verdict}`;
}

function summarise(outcomes: readonly Outcome[]): void {
  const failed = outcomes.filter((o) => o.failures.length > 0);
  console.log(`\n${outcomes.length} runs, ${failed.length} failed.`);
  const table = (title: string, key: (o: Outcome) => string) => {
    const counts = new Map<string, number>();
    for (const outcome of outcomes) counts.set(key(outcome), (counts.get(key(outcome)) ?? 0) + 1);
    console.log(`${title}: ${[...counts].map(([name, count]) => `${name} ${count}`).join(', ')}`);
  };
  table('Killed', (o: Outcome): Action => o.action);
  table('While', (o) => o.during);
  const times = outcomes.map((o) => o.recoveryMs).sort((a, b) => a - b);
  console.log(`To its end: median ${times[times.length >> 1]} ms, at most ${times.at(-1)} ms.`);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
