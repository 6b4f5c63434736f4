import 'reflect-metadata';
import { type GraphQLObjectType, type GraphQLSchema, lexicographicSortSchema, printSchema } from 'graphql';
import { buildSchemaSync } from 'type-graphql';
import { ApiTokenResolver } from '../access/api-token.resolver';
import { auditMutations } from '../access/audit';
import { AuditResolver } from '../access/audit.resolver';
import { completeRoles } from '../access/role';
import { ViewerResolver } from '../access/viewer.resolver';
import { AuthorizationResolver, SourceAuthorizationResolver } from '../authorization/authorization.resolver';
import { AuthorizationObject } from '../authorization/authorization.type';
import { ExtensionFieldResolver } from '../extension-field/extension-field.resolver';
import { IdentitySourceResolver } from '../identity-source/identity-source.resolver';
import { IdentitySourceObject } from '../identity-source/identity-source.type';
import { SettingsResolver, WecomSettingsResolver } from '../identity-source/settings.resolver';
import { SourceStreamResolver } from '../identity-source/source-stream.resolver';
import {
  DirectoryGroupResolver,
  EmployeeDirectoryGroupsResolver,
  SourceDirectoryGroupsResolver,
} from '../organisation/directory-group.resolver';
import { DirectoryGroupObject } from '../organisation/directory-group.type';
import { EditingResolver } from '../organisation/editing.resolver';
import {
  DepartmentResolver,
  EmployeeResolver,
  MembershipResolver,
  TimelineResolver,
} from '../organisation/organisation.resolver';
import { DepartmentObject, EmployeeObject } from '../organisation/organisation.type';
import { SyncRecordResolver, SyncTaskResolver } from '../sync/api/sync.resolver';
import { SyncRecordObject } from '../sync/api/sync-record.type';
import { SyncTaskObject } from '../sync/api/sync-task.type';
import { callMethodsDirectly, readPlainFields } from './direct-resolvers';
import { NodeResolver } from './node.resolver';
import { countOnDemand } from './pagination';
import { DateTime } from './scalars';

let built: GraphQLSchema | undefined;

/** The executable schema; the same in every process, and made once in it: making it takes longer than most requests together. */
export function appSchema(): GraphQLSchema {
  built ??= buildAppSchema();
  return built;
}

function buildAppSchema(): GraphQLSchema {
  readPlainFields();
  const schema = buildSchemaSync({
    resolvers: [
      ViewerResolver,
      ApiTokenResolver,
      AuditResolver,
      NodeResolver,
      IdentitySourceResolver,
      AuthorizationResolver,
      SourceAuthorizationResolver,
      SourceStreamResolver,
      SettingsResolver,
      WecomSettingsResolver,
      DepartmentResolver,
      EmployeeResolver,
      MembershipResolver,
      DirectoryGroupResolver,
      SourceDirectoryGroupsResolver,
      EmployeeDirectoryGroupsResolver,
      EditingResolver,
      ExtensionFieldResolver,
      TimelineResolver,
      SyncTaskResolver,
      SyncRecordResolver,
    ],
    orphanedTypes: [
      IdentitySourceObject,
      AuthorizationObject,
      DepartmentObject,
      EmployeeObject,
      DirectoryGroupObject,
      SyncTaskObject,
      SyncRecordObject,
    ],
    scalarsMap: [{ type: Date, scalar: DateTime }],
    validate: false,
    // Every subscription brings its own stream; the generator only insists on being given something.
    pubSub: { publish: notUsed, subscribe: notUsed },
  });
  return auditMutations(completeRoles(countOnDemand(callMethodsDirectly(describeRoots(schema)))));
}

/** The generator of the schema gives the root types no description. */
function describeRoots(schema: GraphQLSchema): GraphQLSchema {
  const describe = (type: GraphQLObjectType | null | undefined, description: string) => {
    if (type) type.description = description;
  };
  describe(schema.getQueryType(), 'What can be read.');
  describe(schema.getMutationType(), 'What can be changed. What the caller can act on comes back in `userErrors`.');
  describe(
    schema.getSubscriptionType(),
    'What can be followed, over WebSocket: a stream ends by itself where nothing more will come, or where there is no such object.',
  );
  return schema;
}

function notUsed(): never {
  throw new Error('Subscriptions read the event log.');
}

/** As written to schema/schema.graphql. */
export function printAppSchema(schema: GraphQLSchema): string {
  return `${printSchema(lexicographicSortSchema(schema))}\n`;
}
