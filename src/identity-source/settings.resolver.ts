import { Arg, Ctx, FieldResolver, Int, Mutation, Resolver, Root } from 'type-graphql';
import { shown } from '../access/masking';
import { Role } from '../access/role';
import type { RequestContext } from '../api/context';
import { badRequest } from '../api/errors';
import { CONNECTORS } from '../connector/registry';
import { ExtensionFieldObject } from '../extension-field/extension-field.resolver';
import { defaultOwner, EXTENSION_PREFIX, type FieldMapping } from '../field-mapping/field-mapping';
import { uuidOf } from '../platform/typed-id';
import type { Proposal } from '../sync/task/sync.service';
import { payload } from './identity-source.resolver';
import {
  DeleteIdentitySourceInput,
  DeleteIdentitySourcePayload,
  IdentitySourceObject,
  RestoreIdentitySourceInput,
  RestoreIdentitySourcePayload,
  RunConnectionChecksInput,
  RunConnectionChecksPayload,
  WecomSettings,
} from './identity-source.type';
import type { SynchronizationChange } from './synchronization-settings';
import { toAutomaticChange } from './synchronization-settings.input';
import {
  AutomaticSynchronization,
  ConfigureSynchronizationInput,
  ConfigureSynchronizationPayload,
  FieldMappingObject,
  SetAutomaticSynchronizationInput,
  SetAutomaticSynchronizationPayload,
  SyncSafeguards,
  toFieldMapping,
} from './synchronization-settings.type';
import { localFields } from './third-party.service';
import {
  ConnectionCheck,
  DisableImpact,
  MappableField,
  SyncScope,
  ThirdPartyDepartment,
  ThirdPartyDepartmentConnection,
  VisibilityScope,
} from './third-party.type';

const MAX_PAGE = 500;
const DEFAULT_PAGE = 50;

/** How a source synchronizes, what its directory shows, and whether it is there at all. */
@Resolver(() => IdentitySourceObject)
export class SettingsResolver {
  @Role('ADMINISTRATOR')
  @Mutation(() => ConfigureSynchronizationPayload, {
    description: 'Changes when, how much and into which fields a source synchronizes. Takes effect with the next task.',
  })
  async configureSynchronization(
    @Ctx() ctx: RequestContext,
    @Arg('input', () => ConfigureSynchronizationInput, { description: 'The changes.' })
    input: ConfigureSynchronizationInput,
  ): Promise<ConfigureSynchronizationPayload> {
    return payload(
      await ctx.settings.configure(uuidOf('source', input.id), input.version ?? undefined, toChange(input)),
    );
  }

  @Role('ADMINISTRATOR')
  @Mutation(() => SetAutomaticSynchronizationPayload, { description: 'Switches automatic synchronization on or off.' })
  async setAutomaticSynchronization(
    @Ctx() ctx: RequestContext,
    @Arg('input', () => SetAutomaticSynchronizationInput, { description: 'On or off.' })
    input: SetAutomaticSynchronizationInput,
  ): Promise<SetAutomaticSynchronizationPayload> {
    return payload(
      await ctx.settings.setAutomatic(uuidOf('source', input.id), input.version ?? undefined, input.enabled),
    );
  }

  @Role('ADMINISTRATOR')
  @Mutation(() => DeleteIdentitySourcePayload, {
    description: 'Deletes a closed source. It can be restored for 30 days; its audit trail and records stay.',
  })
  async deleteIdentitySource(
    @Ctx() ctx: RequestContext,
    @Arg('input', () => DeleteIdentitySourceInput, { description: 'Which one.' }) input: DeleteIdentitySourceInput,
  ): Promise<DeleteIdentitySourcePayload> {
    return payload(await ctx.settings.delete(uuidOf('source', input.id), input.version ?? undefined));
  }

  @Role('ADMINISTRATOR')
  @Mutation(() => RestoreIdentitySourcePayload, {
    description: 'Brings a deleted source back, closed, under another name where its own was taken meanwhile.',
  })
  async restoreIdentitySource(
    @Ctx() ctx: RequestContext,
    @Arg('input', () => RestoreIdentitySourceInput, { description: 'Which one.' }) input: RestoreIdentitySourceInput,
  ): Promise<RestoreIdentitySourcePayload> {
    return payload(await ctx.settings.restore(uuidOf('source', input.id)));
  }

  @Role('ADMINISTRATOR')
  @Mutation(() => RunConnectionChecksPayload, {
    description: 'Tries the connection out, call by call, and says what is wrong and what to do about it.',
  })
  async runConnectionChecks(
    @Ctx() ctx: RequestContext,
    @Arg('input', () => RunConnectionChecksInput, { description: 'Which source.' }) input: RunConnectionChecksInput,
  ): Promise<RunConnectionChecksPayload> {
    const source = await ctx.loaders.source.load(uuidOf('source', input.id));
    if (!source || source.deletedAt)
      return payload({
        refusals: [{ code: 'NOT_FOUND', message: 'There is no identity source with this id.', field: ['input', 'id'] }],
      });
    if (source.type === 'CUSTOM') {
      const message = 'A custom source has no directory to check.';
      return payload({ refusals: [{ code: 'SYNC_NOT_APPLICABLE', message, field: ['input', 'id'] }] });
    }
    if (!source.sealedSecret) {
      const message = 'No company has authorized this source, or it has cancelled: startAuthorization first.';
      return payload({ refusals: [{ code: 'AUTHORIZATION_REQUIRED', message, field: ['input', 'id'] }] });
    }
    await ctx.thirdParty.runChecks(source);
    return payload({ source });
  }

  @FieldResolver(() => AutomaticSynchronization, {
    nullable: true,
    description: 'When it synchronizes by itself; null for the custom source.',
  })
  automaticSynchronization(@Root() source: IdentitySourceObject): AutomaticSynchronization | null {
    const { row } = source;
    if (row.type === 'CUSTOM') return null;
    return {
      enabled: row.automaticEnabled,
      synchronizeUserInformation: row.automaticUserInformation,
      synchronizesUserInformation: row.automaticEnabled && row.automaticUserInformation,
      cycleHours: row.cycleHours,
      nextRunAt: row.automaticEnabled && row.status === 'ENABLED' ? row.nextRunAt : null,
    };
  }

  @FieldResolver(() => SyncScope, {
    nullable: true,
    description: 'Which part of the directory is synchronized; null for the custom source.',
  })
  async scope(@Root() source: IdentitySourceObject, @Ctx() ctx: RequestContext): Promise<SyncScope | null> {
    if (source.row.type === 'CUSTOM') return null;
    return { mode: source.row.scopeMode, departments: await ctx.thirdParty.chosenDepartments(source.row) };
  }

  @FieldResolver(() => [FieldMappingObject], { description: 'Which third-party field becomes which local one.' })
  fieldMappings(@Root() source: IdentitySourceObject): FieldMappingObject[] {
    const { row } = source;
    if (row.type === 'CUSTOM') return [];
    return (row.fieldMappings ?? CONNECTORS[row.type].defaultMappings).map(toFieldMapping);
  }

  @FieldResolver(() => [MappableField], { description: 'What the directory can tell, with how much of it is filled.' })
  async thirdPartyFields(@Root() source: IdentitySourceObject, @Ctx() ctx: RequestContext): Promise<MappableField[]> {
    const fields = await ctx.thirdParty.fields(source.row);
    return fields.map((f) => ({ ...f, samples: f.samples.map((sample) => shown(f.name, sample, ctx.actor.role)) }));
  }

  @FieldResolver(() => [MappableField], { description: 'Local fields that mappings can fill.' })
  async localFields(@Ctx() ctx: RequestContext): Promise<MappableField[]> {
    const extension = (await ctx.loaders.extensionFields.load('all')).map(({ objectType, key, displayName, type }) => {
      return {
        objectType,
        name: `${EXTENSION_PREFIX}${key}`,
        label: displayName,
        type,
        filled: null,
        total: null,
        samples: [],
      };
    });
    return [...localFields(), ...extension];
  }

  @FieldResolver(() => [ExtensionFieldObject], { description: 'Extension fields that a mapping of this source fills.' })
  async mappedExtensionFields(
    @Root() source: IdentitySourceObject,
    @Ctx() ctx: RequestContext,
  ): Promise<ExtensionFieldObject[]> {
    const mapped = new Set((source.row.fieldMappings ?? []).map((mapping) => mapping.localField));
    const fields = await ctx.loaders.extensionFields.load('all');
    return fields.filter((field) => mapped.has(`${EXTENSION_PREFIX}${field.key}`));
  }

  @FieldResolver(() => SyncSafeguards, {
    nullable: true,
    description: 'When removals wait for approval; null for the custom source.',
  })
  safeguards(@Root() source: IdentitySourceObject): SyncSafeguards | null {
    const { type, maxRemovals, maxRemovalPercent, minimumObjects, leaverGraceDays } = source.row;
    return type === 'CUSTOM' ? null : { maxRemovals, maxRemovalPercent, minimumObjects, leaverGraceDays };
  }

  @FieldResolver(() => VisibilityScope, {
    nullable: true,
    description:
      'What the directory lets Rollcall see, read live; null, with an error of this field, when it cannot be read.',
  })
  async visibilityScope(
    @Root() source: IdentitySourceObject,
    @Ctx() ctx: RequestContext,
  ): Promise<VisibilityScope | null> {
    return source.row.type === 'CUSTOM' ? null : live(ctx.thirdParty.visibilityScope(source.row));
  }

  @FieldResolver(() => ThirdPartyDepartmentConnection, {
    nullable: true,
    description:
      'The directory’s tree, read live: the children of parentId, or the top; with text, those of that name anywhere.',
  })
  async thirdPartyDepartments(
    @Root() source: IdentitySourceObject,
    @Ctx() ctx: RequestContext,
    @Arg('parentId', () => String, { nullable: true, description: 'Whose children.' }) parentId?: string,
    @Arg('text', () => String, { nullable: true, description: 'Found anywhere in the name, ignoring case.' })
    text?: string,
    @Arg('first', () => Int, { nullable: true, description: 'How many; 50 unless said, at most 500.' }) first?: number,
    @Arg('after', () => String, { nullable: true, description: 'The cursor after which to begin.' }) after?: string,
  ): Promise<ThirdPartyDepartmentConnection | null> {
    if (source.row.type === 'CUSTOM') return null;
    const tree = await live(ctx.thirdParty.liveTree(source.uuid));
    const wanted = text?.trim().toLowerCase();
    const found = wanted
      ? tree.filter((d) => d.name.toLowerCase().includes(wanted))
      : tree.filter((d) => d.parentId === (parentId ?? null));
    return pageOf(found, first ?? DEFAULT_PAGE, after);
  }

  @FieldResolver(() => [ConnectionCheck], { description: 'The latest results; runConnectionChecks makes new ones.' })
  connectionChecks(@Root() source: IdentitySourceObject, @Ctx() ctx: RequestContext): Promise<ConnectionCheck[]> {
    return ctx.thirdParty.latestChecks(source.uuid);
  }

  @FieldResolver(() => DisableImpact, { description: 'Whom disabling it would touch.' })
  async disableImpact(@Root() source: IdentitySourceObject, @Ctx() ctx: RequestContext): Promise<DisableImpact> {
    const employees = await ctx.loaders.sourceEmployeeCount.load(source.uuid);
    return { employees, liveSessions: 0, userGroups: 0, accessPolicies: 0 };
  }
}

@Resolver(() => WecomSettings)
export class WecomSettingsResolver {
  @FieldResolver(() => String, {
    nullable: true,
    description:
      'The address to enter for its callback (of the contacts sync, or of the customised app); null without ROLLCALL_PUBLIC_URL, and for a self-built app until the callback’s keys are set.',
  })
  callbackUrl(@Root() { callbackPath }: WecomSettings, @Ctx() ctx: RequestContext): string | null {
    return callbackPath && ctx.publicUrl ? `${ctx.publicUrl.replace(/\/+$/, '')}${callbackPath}` : null;
  }
}

const OF_THE_CONNECTION: ReadonlySet<string> = new Set(['AUTHORIZATION_REQUIRED', 'SECRET_UNREADABLE']);

/** What cannot be read live is an error of that field alone, with the directory's own words. */
async function live<T>(reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    const { code, message, advice } = error as { code?: unknown; message?: string; advice?: string };
    if (typeof code !== 'string' || !(code.startsWith('UPSTREAM_') || OF_THE_CONNECTION.has(code))) throw error;
    throw Object.assign(badRequest([message, advice].filter(Boolean).join(' ')), { extensions: { code } });
  }
}

/** The input of configureSynchronization as a preview's proposal. */
export function toProposal(input: ConfigureSynchronizationInput): Proposal {
  return { identitySourceId: uuidOf('source', input.id), version: input.version ?? undefined, change: toChange(input) };
}

/** Absent and null are both unchanged, but for the mappings, where null brings the defaults back. */
function toChange(input: ConfigureSynchronizationInput): SynchronizationChange {
  const { scope, safeguards, fieldMappings } = input;
  const mappings = fieldMappings?.map(
    (mapping): FieldMapping => ({
      objectType: mapping.objectType,
      thirdPartyField: mapping.thirdPartyField,
      localField: mapping.localField,
      transforms: (mapping.transforms ?? []).map((transform) => ({ ...transform })),
      owner: mapping.owner ?? defaultOwner(mapping.localField),
    }),
  );
  return {
    automaticSynchronization: toAutomaticChange(input.automaticSynchronization),
    scope: scope
      ? { mode: scope.mode, departmentIds: scope.mode === 'ALL' ? [] : (scope.departmentIds ?? []) }
      : undefined,
    fieldMappings: fieldMappings === null ? null : mappings,
    safeguards: safeguards
      ? Object.fromEntries(Object.entries(safeguards).filter(([, value]) => value != null))
      : undefined,
  };
}

/** A tree read live has no rows to page by; a cursor names the last one's id. */
function pageOf(
  all: readonly ThirdPartyDepartment[],
  first: number,
  after: string | undefined,
): ThirdPartyDepartmentConnection {
  if (first < 0 || first > MAX_PAGE) throw badRequest(`A page has 0 to ${MAX_PAGE} elements; ${first} were asked for.`);
  const cursorOf = (d: ThirdPartyDepartment) => Buffer.from(d.id).toString('base64url');
  const at = after === undefined ? -1 : all.findIndex((d) => cursorOf(d) === after);
  if (after !== undefined && at < 0)
    throw badRequest('This cursor is not one of this list; take `endCursor` of a page of it.');
  const nodes = all.slice(at + 1, at + 1 + first);
  const edges = nodes.map((node) => ({ node, cursor: cursorOf(node) }));
  return {
    edges,
    nodes,
    totalCount: all.length,
    pageInfo: {
      hasNextPage: at + 1 + nodes.length < all.length,
      hasPreviousPage: at >= 0,
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
  };
}
