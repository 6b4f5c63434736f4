import { type Logger, pino } from 'pino';

/** JSON lines on standard output. What could be a secret is cut out wherever it stands. */
export function createLogger(level: string): Logger {
  return pino({
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: {
      paths: ['secret', '*.secret', 'token', '*.token', 'authorization', '*.authorization'],
      censor: '[secret]',
    },
  });
}
