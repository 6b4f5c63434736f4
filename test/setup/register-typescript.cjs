// Lets a child process of a test run the sources as they are. What was compiled once is kept, since such tests start many.
const { createHash } = require('node:crypto');
const { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } = require('node:fs');
const path = require('node:path');
const { transformSync } = require('@swc/core');

const CACHE = path.join(__dirname, '..', '..', 'node_modules', '.cache', 'rollcall-tests');
mkdirSync(CACHE, { recursive: true });

const OPTIONS = {
  jsc: {
    parser: { syntax: 'typescript', decorators: true },
    transform: { legacyDecorator: true, decoratorMetadata: true },
    target: 'es2022',
    keepClassNames: true,
  },
  module: { type: 'commonjs' },
  sourceMaps: false,
};

require.extensions['.ts'] = (module, filename) => {
  const source = readFileSync(filename, 'utf8');
  const key = createHash('sha256').update(JSON.stringify(OPTIONS)).update(filename).update(source).digest('hex');
  const kept = path.join(CACHE, `${key}.js`);
  if (!existsSync(kept)) {
    // Under another name first: several processes may compile the same file at once.
    const unfinished = `${kept}.${process.pid}`;
    writeFileSync(unfinished, transformSync(source, { ...OPTIONS, filename }).code);
    renameSync(unfinished, kept);
  }
  module._compile(readFileSync(kept, 'utf8'), filename);
};
