import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type FragmentSpreadNode,
  type GraphQLCompositeType,
  GraphQLError,
  type GraphQLSchema,
  getNamedType,
  type InlineFragmentNode,
  isCompositeType,
  isInterfaceType,
  isListType,
  isNonNullType,
  isObjectType,
  type OperationDefinitionNode,
  type SelectionSetNode,
  type ValueNode,
} from 'graphql';

/** How much one operation may ask for. */
export interface OperationLimits {
  readonly depth: number;
  /** Fields asked for, those of a list counted once for each element that a page may have. */
  readonly cost: number;
  readonly aliases: number;
  readonly rootFields: number;
}

/** What a set of fields asks for, wherever it stands. */
interface Measured {
  /** Levels of fields, this one included. */
  levels: number;
  cost: number;
  aliases: number;
  /** Fields of this level, those of fragments included. */
  fields: number;
}

const NOTHING: Measured = { levels: 0, cost: 0, aliases: 0, fields: 0 };

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
  const meter = new Meter(schema, document, operation, variables);
  const root = schema.getRootType(operation.operation);
  const measured = root ? meter.measure(operation.selectionSet, root) : NOTHING;
  refuseOver('rootFields', measured.fields, limits.rootFields);
  refuseOver('aliases', measured.aliases, limits.aliases);
  refuseOver('depth', measured.levels, limits.depth);
  refuseOver('cost', measured.cost, limits.cost);
}

function refuseOver(name: keyof OperationLimits, asked: number, allowed: number): void {
  if (asked <= allowed) return;
  throw new GraphQLError(`The operation exceeds the limit of ${name}: ${allowed} allowed, ${asked} asked for.`, {
    extensions: { code: 'LIMIT_EXCEEDED', limit: name, allowed, asked, http: { status: 400 } },
  });
}

class Meter {
  /** Each fragment is measured once: spread twice in the next one, and so on, thirty of them would take a billion looks. */
  private readonly measured = new Map<string, Measured>();

  private readonly fragments = new Map<string, FragmentDefinitionNode>();
  private readonly defaults: ReadonlyMap<string, ValueNode | undefined>;

  constructor(
    private readonly schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    private readonly variables: Readonly<Record<string, unknown>>,
  ) {
    for (const d of document.definitions) if (d.kind === 'FragmentDefinition') this.fragments.set(d.name.value, d);
    const declared = operation.variableDefinitions ?? [];
    this.defaults = new Map(declared.map((d) => [d.variable.name.value, d.defaultValue]));
  }

  measure(set: SelectionSetNode, parent: GraphQLCompositeType): Measured {
    const total = { ...NOTHING };
    for (const selection of set.selections) {
      const part = selection.kind === 'Field' ? this.field(selection, parent) : this.spread(selection, parent);
      total.levels = Math.max(total.levels, part.levels);
      total.cost = sum(total.cost, part.cost);
      total.aliases = sum(total.aliases, part.aliases);
      total.fields = sum(total.fields, part.fields);
    }
    return total;
  }

  private spread(node: FragmentSpreadNode | InlineFragmentNode, parent: GraphQLCompositeType): Measured {
    if (node.kind === 'InlineFragment') return this.fragment(node, parent);
    const name = node.name.value;
    const known = this.measured.get(name);
    if (known) return known;
    const fragment = this.fragments.get(name);
    const measured = fragment ? this.fragment(fragment, parent) : NOTHING;
    this.measured.set(name, measured);
    return measured;
  }

  private fragment(node: InlineFragmentNode | FragmentDefinitionNode, parent: GraphQLCompositeType): Measured {
    const named = node.typeCondition && this.schema.getType(node.typeCondition.name.value);
    return this.measure(node.selectionSet, isCompositeType(named) ? named : parent);
  }

  private field(node: FieldNode, parent: GraphQLCompositeType): Measured {
    const leaf = { levels: 1, cost: 1, aliases: node.alias ? 1 : 0, fields: 1 };
    const name = node.name.value;
    // Introspection reads the schema alone, which is in memory.
    if (name.startsWith('__')) return leaf;
    const field = isObjectType(parent) || isInterfaceType(parent) ? parent.getFields()[name] : undefined;
    const type = field && getNamedType(field.type);
    if (!field || !node.selectionSet || !isCompositeType(type)) return leaf;
    const inside = this.measure(node.selectionSet, type);
    const isConnection = type.name.endsWith('Connection');
    const nullable = isNonNullType(field.type) ? field.type.ofType : field.type;
    const isShortList = isListType(nullable) && !parent.name.endsWith('Connection');
    const times = isConnection ? this.pageSize(node) : isShortList ? SHORT_LIST : 1;
    return {
      levels: 1 + inside.levels,
      cost: sum(1, times * inside.cost),
      aliases: sum(leaf.aliases, inside.aliases),
      fields: 1,
    };
  }

  /** The larger of `first` and `last`, given here or as a variable; of an unknown one the default of pages. */
  private pageSize(node: FieldNode): number {
    const given = (node.arguments ?? []).filter(({ name }) => ['first', 'last'].includes(name.value));
    const sizes = given.map(({ value }) => this.numberOf(value)).filter((size) => size !== undefined);
    return sizes.length > 0 ? Math.min(Math.max(...sizes), MAX_PAGE) : DEFAULT_PAGE;
  }

  private numberOf(node: ValueNode | undefined): number | undefined {
    if (node?.kind === 'IntValue') return Math.max(0, Number(node.value));
    if (node?.kind !== 'Variable') return undefined;
    const name = node.name.value;
    const value = this.variables[name];
    // What is not given has the default that the operation declares.
    if (value === undefined) return this.numberOf(this.defaults.get(name));
    return typeof value === 'number' && value >= 0 ? value : undefined;
  }
}

/** Never so large that it would no longer be counted exactly. */
function sum(a: number, b: number): number {
  return Math.min(Number.MAX_SAFE_INTEGER, a + b);
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
