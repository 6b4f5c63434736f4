import os from 'node:os';
import { parseArgs } from 'node:util';
import { measureSynchronization, type SynchronizationFigures } from './synchronize';

const USAGE = 'Usage: npm run bench -- [--people 10000,100000,1000000] [--json]';

/** A figure beside its limit. */
interface Ratio {
  readonly what: string;
  readonly measured: number;
  readonly limit: number;
  readonly unit: 'ms' | 'MiB';
  readonly goal: number;
}

function ratios(all: readonly SynchronizationFigures[]): Ratio[] {
  const found = all.flatMap((f): Ratio[] => [
    {
      what: `first synchronization of ${f.people} people`,
      measured: f.first.milliseconds,
      limit: f.fetch + f.copy,
      unit: 'ms',
      goal: 1.5,
    },
    {
      what: `nothing changed, ${f.people} people`,
      measured: f.unchanged.milliseconds,
      limit: f.fetch,
      unit: 'ms',
      goal: 1.3,
    },
  ]);
  const [smallest, largest] = [all[0], all.at(-1)];
  if (smallest && largest && smallest !== largest) {
    found.push({
      what: `memory of the Node process, ${largest.people} people beside ${smallest.people}`,
      measured: Math.max(largest.first.memoryPeak, largest.unchanged.memoryPeak),
      limit: Math.max(smallest.first.memoryPeak, smallest.unchanged.memoryPeak),
      unit: 'MiB',
      goal: 1.3,
    });
  }
  return found;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      people: { type: 'string', default: '10000,100000' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return;
  }
  const sizes = values.people.split(',').map(Number);
  if (sizes.some((size) => !Number.isInteger(size) || size < 1)) throw new Error(USAGE);
  const figures: SynchronizationFigures[] = [];
  for (const size of sizes) {
    if (!values.json) console.log(`${size} people ...`);
    const measured = await measureSynchronization(size);
    figures.push(measured);
    if (!values.json) describe(measured);
  }
  const machine = {
    cpu: os.cpus()[0]?.model,
    cores: os.cpus().length,
    memoryMiB: Math.round(os.totalmem() / 2 ** 20),
    node: process.version,
  };
  if (values.json) {
    console.log(JSON.stringify({ machine, figures, ratios: ratios(figures) }, null, 2));
    return;
  }
  console.log('');
  for (const { what, measured, limit, unit, goal } of ratios(figures)) {
    const ratio = measured / limit;
    console.log(
      `${ratio.toFixed(2)} x (goal ${goal} x)  ${what}: ${Math.round(measured)} ${unit} beside ${Math.round(limit)} ${unit}`,
    );
  }
}

function describe({ fetch, copy, first, unchanged }: SynchronizationFigures): void {
  console.log(`  limits: pages fetched and parsed ${Math.round(fetch)} ms, rows copied ${Math.round(copy)} ms`);
  for (const [name, run] of Object.entries({ first, unchanged })) {
    const phases = Object.entries(run.phases).map(([phase, ms]) => `${phase.toLowerCase()} ${ms}`);
    console.log(
      `  ${name}: ${Math.round(run.milliseconds)} ms (${phases.join(', ')}), ${run.memoryPeak} MiB, ${run.statements} transactions, ${run.rowsWritten} rows written`,
    );
  }
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
});
