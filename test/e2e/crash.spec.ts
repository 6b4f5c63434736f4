import path from 'node:path';
import { type Action, Laboratory } from '../../src/crash/laboratory';

const SETUP = path.join(__dirname, '..', 'setup');
const SERVER = path.join(__dirname, '..', '..', 'src', 'main.ts');

/** `npm run crash -- --runs 200` does this at any number of moments. */
const RUNS: readonly (readonly [Action, number])[] = [
  ['worker', 2],
  ['postgres', 2],
  ['server', 1],
  ['pause', 1],
  ['worker twice', 1],
];

describe('a synchronization that is killed at any moment', () => {
  let laboratory: Laboratory;
  let seed = 1_000;

  beforeAll(async () => {
    laboratory = await Laboratory.open(['--require', path.join(SETUP, 'register-typescript.cjs'), SERVER]);
  }, 60_000);
  afterAll(() => laboratory?.close());

  it.each(RUNS)(
    'by "%s" ends as if undisturbed, and its subscribers miss nothing',
    async (action, times) => {
      for (let i = 0; i < times; i++) {
        const { failures, ...outcome } = await laboratory.run(seed++, action);
        expect({ ...outcome, failures }).toEqual({ ...outcome, failures: [] });
      }
    },
    90_000,
  );
});
