import { registerEnumType } from 'type-graphql';

/** Of every list that can be sorted. */
export const OrderDirectionEnum = { ASC: 'ASC', DESC: 'DESC' } as const;
registerEnumType(OrderDirectionEnum, {
  name: 'OrderDirection',
  description: 'Which end of the order comes first.',
  valuesConfig: {
    ASC: { description: 'The smallest or oldest first.' },
    DESC: { description: 'The largest or newest first.' },
  },
});
