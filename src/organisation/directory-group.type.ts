import { Field, ObjectType } from 'type-graphql';
import { Node } from '../api/node';
import { connectionOf } from '../api/pagination';
import { toTypedId } from '../platform/typed-id';
import type { DirectoryGroup } from './directory-group.entity';

@ObjectType('DirectoryGroup', {
  implements: Node,
  description:
    'A group that the directory itself keeps beside the tree, such as a WeCom tag. It always follows the source.',
})
export class DirectoryGroupObject extends Node {
  uuid: string;
  identitySourceId: string;

  @Field(() => String, { description: 'Its name.' })
  name: string;
}

export const DirectoryGroupConnection = connectionOf(DirectoryGroupObject, 'DirectoryGroup');

export function toDirectoryGroup({
  id,
  identitySourceId,
  name,
}: Pick<DirectoryGroup, 'id' | 'identitySourceId' | 'name'>): DirectoryGroupObject {
  return Object.assign(new DirectoryGroupObject(), { id: toTypedId('group', id), uuid: id, identitySourceId, name });
}
