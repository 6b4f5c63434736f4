import { z } from 'zod';
import { isEncodingAesKey } from '../connector/wecom/wecom.callback-crypto';
import type { SandboxState } from './sandbox';

/** What answers one request under /sandbox/. */
export interface Handler {
  readonly help: string;
  run(state: SandboxState, body: unknown): unknown;
}

export const rangeSchema = z.strictObject({
  departments: z.array(z.number().int()).default([]),
  users: z.array(z.string()).default([]),
  tags: z.array(z.number().int()).default([]),
});

/** A callback address as it is entered in the console. */
export const addressSchema = z.strictObject({
  url: z.url(),
  token: z.string().regex(/^[A-Za-z0-9]{1,32}$/),
  encodingAesKey: z.string().refine(isEncodingAesKey, 'must be 43 letters and digits'),
});
