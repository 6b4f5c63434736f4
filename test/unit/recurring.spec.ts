import { setTimeout as delay } from 'node:timers/promises';
import { Recurring } from '../../src/platform/recurring';

describe('a look that recurs', () => {
  const until = async (isSo: () => boolean) => {
    for (let i = 0; !isSo(); i++) {
      if (i > 500) throw new Error('It never became so.');
      await delay(5);
    }
  };

  it('is taken again, also after one that failed, until it is stopped', async () => {
    const errors: unknown[] = [];
    let looks = 0;
    const recurring = new Recurring(
      5,
      async () => Promise.reject(new Error(`look ${++looks}`)),
      (e) => errors.push(e),
    );
    recurring.start();
    await until(() => looks >= 3);
    await recurring.stop();
    const taken = looks;
    expect(errors).toHaveLength(taken);
    await delay(30);
    expect(looks).toBe(taken);
  });

  it('is never taken twice at once, and is waited for where it is stopped', async () => {
    let [under, most, ended] = [0, 0, 0];
    const look = async () => {
      most = Math.max(most, ++under);
      await delay(30);
      under -= 1;
      ended += 1;
    };
    const recurring = new Recurring(5, look, () => undefined);
    recurring.start();
    await until(() => ended >= 1 && under === 1);
    const before = ended;
    await recurring.stop();
    expect([most, under, ended]).toEqual([1, 0, before + 1]);
  });

  it('goes on where the clock is set back', async () => {
    let looks = 0;
    const recurring = new Recurring(
      5,
      async () => ++looks,
      () => undefined,
    );
    recurring.start();
    await until(() => looks > 0);
    const now = Date.now();
    const clock = jest.spyOn(Date, 'now').mockImplementation(() => now - 3_600_000);
    try {
      const before = looks;
      await until(() => looks > before);
    } finally {
      clock.mockRestore();
      await recurring.stop();
    }
  });
});
