import { GraphQLError, type GraphQLFieldResolver, type GraphQLSchema } from 'graphql';
import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import type { RequestContext } from '../api/context';
import { badRequest } from '../api/errors';
import { unstorableAt } from '../platform/storable-text';
import { fromTypedId, type IdPrefix, prefixOf } from '../platform/typed-id';
import { withoutSecrets } from './masking';

/** Where the objects of an id are kept, for their state before and after. */
const TABLES: Partial<Record<IdPrefix, string>> = {
  source: 'identity_source',
  authorization: 'source_authorization',
  task: 'sync_task',
  department: 'department',
  employee: 'employee',
  token: 'api_token',
  field: 'extension_field',
};

/** Large and derived columns, which say nothing about what a person changed. */
const LEFT_OUT: readonly string[] = [
  'since',
  'progress',
  'counters',
  'certificate',
  'extent',
  'filled',
  'mappings',
  'sealed_secret',
  'sealed_callback_token',
  'sealed_callback_key',
  'url',
  'state',
  'token_hash',
];

/** How a mutation went. */
export type AuditOutcome = 'ACCEPTED' | 'REFUSED' | 'FORBIDDEN' | 'FAILED';

export interface AuditRecord {
  readonly actor: string;
  readonly address: string | null;
  readonly mutation: string;
  readonly input: unknown;
  readonly objectId: string | null;
  readonly outcome: AuditOutcome;
  readonly errorCodes: readonly string[];
  readonly before: unknown;
  readonly after: unknown;
}

/** Writes who did what, with secrets left out and personal values masked. */
export class AuditLog {
  constructor(
    private readonly dataSource: DataSource,
    private readonly log: Logger,
  ) {}

  async write(record: AuditRecord): Promise<void> {
    try {
      await this.dataSource.query(
        `INSERT INTO audit_entry (actor, address, mutation, input, object_id, outcome, error_codes, before, after)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
        [
          record.actor,
          record.address,
          record.mutation,
          JSON.stringify(withoutSecrets(record.input) ?? null),
          record.objectId,
          record.outcome,
          record.errorCodes,
          record.before === null ? null : JSON.stringify(withoutSecrets(record.before)),
          record.after === null ? null : JSON.stringify(withoutSecrets(record.after)),
        ],
      );
    } catch (error) {
      // What was done is done; that it could not be noted must not go unnoticed.
      this.log.error({ err: error, mutation: record.mutation, actor: record.actor }, 'audit.write-failed');
    }
  }

  /** The state of the object that an id names; null where there is none. */
  async stateOf(id: string | null): Promise<unknown> {
    const prefix = id === null ? undefined : prefixOf(id);
    const table = prefix && TABLES[prefix];
    const uuid = id !== null && prefix ? fromTypedId(prefix, id) : undefined;
    if (!table || !uuid) return null;
    const [row] = await this.dataSource.query(
      `SELECT to_jsonb(t) - $2::text[] AS state FROM ${table} t WHERE id = $1`,
      [uuid, LEFT_OUT],
    );
    return row?.state ?? null;
  }
}

interface Payload {
  readonly userErrors?: readonly { readonly code: string }[];
}

/** Wraps every mutation of a schema, so that one which is added later cannot forget the audit log. */
export function auditMutations(schema: GraphQLSchema): GraphQLSchema {
  for (const field of Object.values(schema.getMutationType()?.getFields() ?? {})) {
    const resolve = field.resolve as GraphQLFieldResolver<unknown, RequestContext, Record<string, unknown>>;
    field.resolve = async (root, args, context, info) => {
      const input = (args['input'] ?? args) as Record<string, unknown>;
      const named = firstId(Object.values(input));
      const before = await context.audit.stateOf(named);
      const write = async (outcome: AuditOutcome, errorCodes: readonly string[], objectId = named) =>
        context.audit.write({
          actor: context.actor.name,
          address: context.address,
          mutation: field.name,
          input,
          objectId,
          outcome,
          errorCodes,
          // Of what was made there was nothing before.
          before: objectId === named ? before : null,
          after: outcome === 'ACCEPTED' ? await context.audit.stateOf(objectId) : null,
        });
      try {
        const payload = (await resolve(root, args, context, info)) as Payload;
        const codes = (payload.userErrors ?? []).map((error) => error.code);
        // What the input names may only be where the new object belongs: a person's source, a preview's task.
        const made = firstId(Object.values(payload).map((value) => (value as { id?: unknown } | null)?.id));
        await write(codes.length > 0 ? 'REFUSED' : 'ACCEPTED', codes, made ?? named);
        return payload;
      } catch (error) {
        const unstorable = unstorableAt(args);
        if (unstorable === undefined || error instanceof GraphQLError) {
          await write('FAILED', []);
          throw error;
        }
        const refusal = badRequest(
          `${unstorable} has a character that cannot be stored: U+0000, or half of a surrogate pair.`,
        );
        await write('REFUSED', [String(refusal.extensions['code'])]);
        throw refusal;
      }
    };
  }
  return schema;
}

function firstId(values: readonly unknown[]): string | null {
  return values.find((value): value is string => typeof value === 'string' && prefixOf(value) !== undefined) ?? null;
}
