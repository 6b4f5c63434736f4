import { Field, ID, InterfaceType } from 'type-graphql';

/** What `node(id)` can fetch. */
@InterfaceType('Node', {
  description: 'An object that can be fetched again by its id.',
  autoRegisterImplementations: false,
})
export abstract class Node {
  @Field(() => ID, { description: 'Opaque and typed, such as employee_01j9...; of use on this server only.' })
  id: string;
}
