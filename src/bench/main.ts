import os from 'node:os';
import { parseArgs } from 'node:util';
import { broadcastFigures, measureBroadcast } from './broadcast';
import { callbackFigures, measureCallbacks } from './callbacks';
import { describeFigure, type Figure, ratioOf } from './figure';
import { measurePages, pageFigures } from './pages';
import {
  describeSynchronization,
  measureSynchronization,
  type SynchronizationFigures,
  synchronizationFigures,
} from './synchronize';

const PARTS = ['synchronization', 'callbacks', 'pages', 'broadcast'] as const;
type Part = (typeof PARTS)[number];

const USAGE = `Usage: npm run bench -- [--only ${PARTS.join(',')}] [--people 10000,100000] [--json]
--people: companies to synchronize, smallest first; 1000000 takes several minutes and 8 GiB of memory.`;

/** So many people are in the company that callbacks and pages are measured in. */
const PEOPLE = 20_000;
const SUBSCRIBERS = 5_000;

interface Report {
  readonly figures: Figure[];
  /** What lies behind the figures, by part. */
  readonly details: Partial<Record<Part, unknown>>;
}

type Tell = (line: string) => void;

/** Each part brings its figures, and what they were made of. */
const MEASURE: Readonly<Record<Part, (sizes: readonly number[], tell: Tell) => Promise<[Figure[], unknown]>>> = {
  synchronization: async (sizes, tell) => {
    const all: SynchronizationFigures[] = [];
    for (const size of sizes) {
      tell(`synchronization of ${size} people ...`);
      const measured = await measureSynchronization(size);
      all.push(measured);
      tell(describeSynchronization(measured));
    }
    return [synchronizationFigures(all), all];
  },
  callbacks: async (_sizes, tell) => {
    tell('callbacks ...');
    const measured = await measureCallbacks(PEOPLE);
    return [callbackFigures(measured), measured];
  },
  pages: async (_sizes, tell) => {
    tell('pages ...');
    const measured = await measurePages(PEOPLE);
    tell(`  ${measured.statements} statements, ${measured.bytes.rollcall} bytes (bare: ${measured.bytes.bare})`);
    return [pageFigures(measured), measured];
  },
  broadcast: async (_sizes, tell) => {
    tell('broadcast ...');
    const measured = await measureBroadcast(SUBSCRIBERS);
    tell(`  ${measured.bytes} bytes a message`);
    return [broadcastFigures(measured), measured];
  },
};

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', default: PARTS.join(',') },
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
  const parts = values.only.split(',');
  if (sizes.some((size) => !Number.isInteger(size) || size < 1) || !parts.every(isPart)) throw new Error(USAGE);
  const report: Report = { figures: [], details: {} };
  for (const part of PARTS.filter((p) => parts.includes(p))) {
    const [figures, details] = await MEASURE[part](sizes, values.json ? () => undefined : console.log);
    report.figures.push(...figures);
    report.details[part] = details;
  }
  if (values.json) {
    const figures = report.figures.map((figure) => ({ ...figure, ratio: ratioOf(figure) }));
    console.log(JSON.stringify({ machine: machine(), figures, details: report.details }, null, 2));
  } else console.log(['', ...report.figures.map(describeFigure)].join('\n'));
}

function isPart(name: string): name is Part {
  return PARTS.some((part) => part === name);
}

function machine() {
  return {
    cpu: os.cpus()[0]?.model,
    cores: os.cpus().length,
    memoryMiB: Math.round(os.totalmem() / 2 ** 20),
    node: process.version,
  };
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
});
