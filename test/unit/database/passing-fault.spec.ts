import { createServer } from 'node:net';
import { Client, Pool } from 'pg';
import { QueryFailedError } from 'typeorm';
import { DirectoryError } from '../../../src/connector/directory-connector';
import { isPassingFault, tryAgain } from '../../../src/database/passing-fault';
import { AppError } from '../../../src/platform/app-error';

const coded = (code: string, more: object = {}) => Object.assign(new Error('said in any language'), { code, ...more });
const thrownBy = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

describe('a fault of the database passes', () => {
  it.each([
    ['it shuts down', '57P01'],
    ['it starts', '57P03'],
    ['the connection is gone', '08006'],
    ['there are too many connections', '53300'],
    ['it only reads after a failover', '25006'],
    ['two transactions waited for each other', '40P01'],
    ['a statement took too long', '57014'],
    ['a transaction was idle for too long', '25P03'],
    ['the network is not there', 'ENETUNREACH'],
    ['the host does not answer', 'ETIMEDOUT'],
  ])('where %s', (_what, code) => {
    expect(isPassingFault(coded(code))).toBe(true);
    expect(isPassingFault(new QueryFailedError('SELECT 1', [], coded(code)))).toBe(true);
    expect(isPassingFault(new Error('outer', { cause: coded(code) }))).toBe(true);
  });

  it('where the socket of a local server is not there yet', () =>
    expect(isPassingFault(coded('ENOENT', { syscall: 'connect' }))).toBe(true));

  it('where no connection comes in time, from the pool or from the server', async () => {
    const silent = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => silent.once('listening', resolve));
    const { port } = silent.address() as { port: number };
    const options = { host: '127.0.0.1', port, connectionTimeoutMillis: 50 };
    const pool = new Pool({ ...options, max: 1 });
    try {
      const faults = await Promise.all([
        ...[1, 2].map(() => thrownBy(pool.connect())),
        thrownBy(new Client(options).connect()),
      ]);
      expect(faults.map(isPassingFault)).toEqual([true, true, true]);
    } finally {
      await pool.end();
      silent.close();
    }
  });

  it.each([
    ['a fault of a statement', coded('42601')],
    ['a value that is taken', coded('23505')],
    ['a file that is missing', coded('ENOENT', { syscall: 'open' })],
    ['an answer of a directory', new DirectoryError('UPSTREAM_UNREACHABLE', 'No answer.', undefined, 'Try later.')],
    ['no error at all', 'timeout exceeded when trying to connect'],
  ])('but not %s', (_what, error) => expect(isPassingFault(error)).toBe(false));
});

describe('what the database interrupts', () => {
  const lost = () => Object.assign(new Error('terminating connection'), { code: '57P01' });
  const failing = (errors: Error[]) => {
    const tried: unknown[] = [];
    const work = async () => {
      const error = errors.shift();
      if (error) throw error;
      return 'done';
    };
    return { tried, outcome: () => tryAgain(work, (error) => tried.push(error), 0) };
  };

  it('is tried again, a few times', async () => {
    const twice = failing([lost(), lost()]);
    expect([await twice.outcome(), twice.tried.length]).toEqual(['done', 2]);
    const often = failing(Array.from({ length: 9 }, lost));
    await expect(often.outcome()).rejects.toThrow('terminating connection');
    expect(often.tried).toHaveLength(4);
  });

  it('is told at once where it is wrong for good', async () => {
    const refused = failing([new AppError('CONFIG_INVALID', 'See DATABASE_URL.', { cause: lost() })]);
    await expect(refused.outcome()).rejects.toThrow('See DATABASE_URL.');
    const fault = failing([new Error('of our own')]);
    await expect(fault.outcome()).rejects.toThrow('of our own');
    expect([...refused.tried, ...fault.tried]).toEqual([]);
  });
});
