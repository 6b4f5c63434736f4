const { default: Sequencer } = require('@jest/test-sequencer');

/** Files that take long although they are short, by which jest goes where it has not run them yet. */
const LONG = ['work-of-a-run', 'crash', 'replays', 'year'];

const isLong = ({ path }) => LONG.some((name) => path.endsWith(`/${name}.spec.ts`));

/** Begins with them, so that no worker is left with one when the others have nothing more to do. */
module.exports = class LongestFirst extends Sequencer {
  sort(tests) {
    const sorted = super.sort(tests);
    return [...sorted.filter(isLong), ...sorted.filter((test) => !isLong(test))];
  }
};
