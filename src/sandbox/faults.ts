import { z } from 'zod';

/**
 * What can be made to go wrong, for calls that match. `empty`: every list empty; `listless`: success without the lists; `bare`:
 * success and nothing else; `shortened`: every list without its last element; `texts`: every number, also the errcode, as text; `nulls`: null instead of an empty list; `trimmed`:
 * without what is empty; `marked`: with a byte order mark; `compressed`: by gzip, for callers that do not refuse it; `html` and `huge` come with HTTP status 200; `dripping`: a byte now and then, without an end.
 */
export const faultSchema = z.strictObject({
  kind: z.enum([
    'slow',
    'dripping',
    'http500',
    'reset',
    'truncated',
    'malformed',
    'html',
    'redirect',
    'huge',
    'empty',
    'listless',
    'bare',
    'shortened',
    'texts',
    'nulls',
    'trimmed',
    'marked',
    'compressed',
    'errcode',
    'tokenRevoked',
    'scopeShrunk',
  ]),
  /** With kind errcode: -1 busy, 45009, 45033, 60011, 42001 or any other. */
  errcode: z.number().int().optional(),
  /** With kind scopeShrunk: the departments that can still be seen. */
  departments: z.array(z.number().int()).optional(),
  /** With kind slow: how long the answer waits; with dripping: each byte. */
  milliseconds: z.number().int().min(0).max(600_000).default(1_000),
  /** Such as "user/list"; all paths when absent. */
  path: z.string().optional(),
  /** Query values that must be equal, such as {"department_id": "7"}. */
  query: z.record(z.string(), z.string()).default({}),
  /** Calls to let pass first. */
  skip: z.number().int().min(0).default(0),
  /** How many calls it hits; all when absent. */
  times: z.number().int().min(1).optional(),
});

export type FaultInput = z.input<typeof faultSchema>;
export type Fault = z.output<typeof faultSchema>;

/** The faults that are switched on. */
export class Faults {
  private active: { fault: Fault; seen: number }[] = [];

  add(input: FaultInput): void {
    this.active.push({ fault: faultSchema.parse(input), seen: 0 });
  }

  clear(): void {
    this.active = [];
  }

  list(): readonly Fault[] {
    return this.active.map((entry) => entry.fault);
  }

  /** The fault that hits this call, if any; counts the call. */
  next(path: string, query: URLSearchParams): Fault | undefined {
    for (const entry of this.active) {
      const { fault } = entry;
      const matches =
        (fault.path === undefined || fault.path === path) &&
        Object.entries(fault.query).every(([name, value]) => query.get(name) === value);
      if (!matches) continue;
      entry.seen += 1;
      const hits = entry.seen > fault.skip && (fault.times === undefined || entry.seen <= fault.skip + fault.times);
      if (hits) return fault;
    }
    return undefined;
  }
}
