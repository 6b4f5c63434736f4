import { type FieldNode, type FragmentDefinitionNode, Kind, parse } from 'graphql';
import { type Selection, selectionOfNodes } from '../../../src/api/selection';

describe('what an operation asks of the elements of a page', () => {
  const asked = (query: string) => {
    const { definitions } = parse(query);
    const operation = definitions.find((each) => each.kind === Kind.OPERATION_DEFINITION);
    const fieldNodes = operation?.selectionSet.selections as FieldNode[];
    const named = definitions.filter((each): each is FragmentDefinitionNode => each.kind === Kind.FRAGMENT_DEFINITION);
    const info = { fieldNodes, fragments: Object.fromEntries(named.map((each) => [each.name.value, each])) };
    expect(selectionOfNodes(info)).toEqual(selectionOfNodes(info));
    return plain(selectionOfNodes(info));
  };
  const plain = (selection: Selection): object =>
    Object.fromEntries([...selection].map(([name, below]) => [name, plain(below)]));

  it.each([
    ['nodes', '{ people { nodes { id } } }', { id: {} }],
    ['edges', '{ people { edges { cursor node { id } } } }', { id: {} }],
    ['both', '{ people { nodes { id } edges { node { name } } } }', { id: {}, name: {} }],
    ['neither', '{ people { totalCount } }', {}],
    ['fields by another name', '{ list: people { some: nodes { key: id } } }', { id: {} }],
    [
      'fields of fields, asked twice',
      '{ people { nodes { in { id } also: in { name } } } }',
      { in: { id: {}, name: {} } },
    ],
    ['inline fragments', '{ people { ... { nodes { ... on Person { id } } } } }', { id: {} }],
    [
      'fragments',
      `{ people { ...page } } fragment page on Page { nodes { ...person name } } fragment person on Person { in { id } }`,
      { in: { id: {} }, name: {} },
    ],
    ['what may be left out', '{ people { nodes { id @skip(if: true) } } }', { id: {} }],
    ['the same list, asked twice', '{ people { nodes { id } } people { nodes { name } } }', { id: {}, name: {} }],
  ])('of %s', (_what, query, expected) => expect(asked(query)).toEqual(expected));
});
