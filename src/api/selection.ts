import type { FieldNode, GraphQLResolveInfo, SelectionSetNode } from 'graphql';

/** What an operation asks of the elements of a page: names of fields, each with what is asked below it. */
export type Selection = ReadonlyMap<string, Selection>;

const NOTHING: Selection = new Map();

/** By the field that asks, which stays the same for as long as its document is known. */
const known = new WeakMap<FieldNode, Selection>();

/**
 * What is asked of the elements of a connection, in `nodes` and in `edges` alike. Something that a directive leaves out counts as
 * asked, since that may differ each time. For operations that are within the limits: every fragment is gone through where it is spread.
 */
export function selectionOfNodes(info: Pick<GraphQLResolveInfo, 'fieldNodes' | 'fragments'>): Selection {
  const [field, ...others] = info.fieldNodes;
  if (!field) return NOTHING;
  const before = others.length === 0 ? known.get(field) : undefined;
  if (before) return before;
  const connection: Mutable = new Map();
  for (const node of info.fieldNodes) collect(node.selectionSet, info.fragments, connection);
  const nodes: Mutable = new Map();
  merge(nodes, connection.get('nodes') ?? NOTHING);
  merge(nodes, connection.get('edges')?.get('node') ?? NOTHING);
  if (others.length === 0) known.set(field, nodes);
  return nodes;
}

type Mutable = Map<string, Selection>;

function collect(set: SelectionSetNode | undefined, fragments: GraphQLResolveInfo['fragments'], into: Mutable): void {
  for (const selection of set?.selections ?? []) {
    if (selection.kind === 'Field') {
      const below: Mutable = new Map();
      collect(selection.selectionSet, fragments, below);
      merge(into, new Map([[selection.name.value, below]]));
    } else if (selection.kind === 'InlineFragment') collect(selection.selectionSet, fragments, into);
    else collect(fragments[selection.name.value]?.selectionSet, fragments, into);
  }
}

function merge(into: Mutable, from: Selection): void {
  for (const [name, below] of from) {
    const both: Mutable = new Map(into.get(name));
    merge(both, below);
    into.set(name, both);
  }
}
