import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLCompositeType,
  GraphQLError,
  type GraphQLSchema,
  getNamedType,
  isCompositeType,
  isInterfaceType,
  isListType,
  isNonNullType,
  isObjectType,
  type OperationDefinitionNode,
  type SelectionSetNode,
} from 'graphql';

/** How much one operation may ask for. */
export interface OperationLimits {
  readonly depth: number;
  /** Fields asked for, those of a list counted once for each element that a page may have. */
  readonly cost: number;
  readonly aliases: number;
  readonly rootFields: number;
}

interface Measured {
  depth: number;
  cost: number;
  aliases: number;
}

const DEFAULT_PAGE = 50;
const MAX_PAGE = 500;
/** A bounded list without paging, such as a person's departments. */
const SHORT_LIST = 3;

/**
 * Refuses an operation that asks for too much, before any of it runs.
 * @throws GraphQLError LIMIT_EXCEEDED with the limit's name, its figure, and the operation's
 */
export function requireWithinLimits(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  variables: Readonly<Record<string, unknown>>,
  limits: OperationLimits,
): void {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const d of document.definitions) if (d.kind === 'FragmentDefinition') fragments.set(d.name.value, d);
  const meter = new Meter(schema, fragments, variables, limits);
  const root = schema.getRootType(operation.operation);
  const measured = root ? meter.measure(operation.selectionSet, root, 1) : { depth: 0, cost: 0, aliases: 0 };
  refuseOver('rootFields', operation.selectionSet.selections.length, limits.rootFields);
  refuseOver('aliases', measured.aliases, limits.aliases);
  refuseOver('depth', measured.depth, limits.depth);
  refuseOver('cost', measured.cost, limits.cost);
}

function refuseOver(name: keyof OperationLimits, asked: number, allowed: number): void {
  if (asked <= allowed) return;
  throw new GraphQLError(`The operation exceeds the limit of ${name}: ${allowed} allowed, ${asked} asked for.`, {
    extensions: { code: 'LIMIT_EXCEEDED', limit: name, allowed, asked, http: { status: 400 } },
  });
}

class Meter {
  constructor(
    private readonly schema: GraphQLSchema,
    private readonly fragments: ReadonlyMap<string, FragmentDefinitionNode>,
    private readonly variables: Readonly<Record<string, unknown>>,
    private readonly limits: OperationLimits,
  ) {}

  measure(set: SelectionSetNode, parent: GraphQLCompositeType, depth: number): Measured {
    const total: Measured = { depth, cost: 0, aliases: 0 };
    // Deeper is refused anyway, and looking on would cost as much as running it.
    if (depth > this.limits.depth + 1) return total;
    for (const selection of set.selections) {
      const part =
        selection.kind === 'Field' ? this.field(selection, parent, depth) : this.spread(selection, parent, depth);
      total.depth = Math.max(total.depth, part.depth);
      total.cost = Math.min(Number.MAX_SAFE_INTEGER, total.cost + part.cost);
      total.aliases += part.aliases;
    }
    return total;
  }

  private spread(
    selection: Exclude<SelectionSetNode['selections'][number], FieldNode>,
    parent: GraphQLCompositeType,
    depth: number,
  ): Measured {
    const fragment = selection.kind === 'FragmentSpread' ? this.fragments.get(selection.name.value) : selection;
    if (!fragment) return { depth, cost: 0, aliases: 0 };
    const named = fragment.typeCondition && this.schema.getType(fragment.typeCondition.name.value);
    return this.measure(fragment.selectionSet, isCompositeType(named) ? named : parent, depth);
  }

  private field(node: FieldNode, parent: GraphQLCompositeType, depth: number): Measured {
    const aliases = node.alias ? 1 : 0;
    const name = node.name.value;
    // Introspection reads the schema alone, which is in memory.
    if (name.startsWith('__')) return { depth, cost: 1, aliases };
    const field = isObjectType(parent) || isInterfaceType(parent) ? parent.getFields()[name] : undefined;
    const type = field && getNamedType(field.type);
    if (!field || !node.selectionSet || !isCompositeType(type)) return { depth, cost: 1, aliases };
    const inside = this.measure(node.selectionSet, type, depth + 1);
    const isConnection = type.name.endsWith('Connection');
    const nullable = isNonNullType(field.type) ? field.type.ofType : field.type;
    const isShortList = isListType(nullable) && !parent.name.endsWith('Connection');
    const times = isConnection ? this.pageSize(node) : isShortList ? SHORT_LIST : 1;
    return { depth: inside.depth, cost: 1 + times * inside.cost, aliases: aliases + inside.aliases };
  }

  private pageSize(node: FieldNode): number {
    const given = node.arguments?.find((argument) => ['first', 'last'].includes(argument.name.value))?.value;
    const value =
      given?.kind === 'IntValue'
        ? Number(given.value)
        : given?.kind === 'Variable'
          ? this.variables[given.name.value]
          : undefined;
    return typeof value === 'number' && value >= 0 ? Math.min(value, MAX_PAGE) : DEFAULT_PAGE;
  }
}

/** So many requests a minute for each credential, with a burst of ten seconds’ worth. */
export class RequestRate {
  private readonly buckets = new Map<string, { tokens: number; at: number }>();

  constructor(
    readonly perMinute: number,
    private readonly now: () => number = Date.now,
  ) {}

  /** @throws GraphQLError LIMIT_EXCEEDED, with when to try again */
  take(credential: string): void {
    const now = this.now();
    const capacity = Math.max(1, this.perMinute / 6);
    const bucket = this.buckets.get(credential) ?? { tokens: capacity, at: now };
    bucket.tokens = Math.min(capacity, bucket.tokens + ((now - bucket.at) * this.perMinute) / 60_000);
    bucket.at = now;
    this.buckets.set(credential, bucket);
    if (this.buckets.size > 10_000) this.buckets.clear();
    if (bucket.tokens >= 1) {
      bucket.tokens -= 1;
      return;
    }
    const seconds = Math.ceil(((1 - bucket.tokens) * 60) / this.perMinute);
    const headers = new Map([['retry-after', String(seconds)]]);
    throw new GraphQLError(
      `Too many requests with this credential: ${this.perMinute} a minute are allowed. Try again in ${seconds} s.`,
      {
        extensions: {
          code: 'LIMIT_EXCEEDED',
          limit: 'requestsPerMinute',
          allowed: this.perMinute,
          http: { status: 429, headers },
        },
      },
    );
  }
}
