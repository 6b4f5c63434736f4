import { WecomRefusal } from './errors';

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** @param missing the errcode where the body does not have it @throws WecomRefusal */
export function text(body: unknown, key: string, missing = 40063): string {
  const value = isRecord(body) ? body[key] : undefined;
  if (typeof value !== 'string' || value === '') throw new WecomRefusal(missing);
  return value;
}
