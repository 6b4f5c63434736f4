import type { DataSource } from 'typeorm';
import type { Actor } from '../access/actor';
import type { ApiTokenService } from '../access/api-token.service';
import type { AuditLog } from '../access/audit';
import type { AuthorizationService } from '../authorization/authorization.service';
import type { EventLog } from '../events/event-log';
import type { ExtensionFieldService } from '../extension-field/extension-field.service';
import type { IdentitySourceService } from '../identity-source/identity-source.service';
import type { SettingsService } from '../identity-source/settings.service';
import type { ThirdPartyService } from '../identity-source/third-party.service';
import type { DepartmentService } from '../organisation/department.service';
import type { EmployeeService } from '../organisation/employee.service';
import type { DerivedTasks } from '../sync/task/derived-tasks';
import type { SyncService } from '../sync/task/sync.service';
import type { Loaders } from './loaders';

/** The services behind the resolvers; made once. */
export interface Services {
  readonly dataSource: DataSource;
  readonly identitySources: IdentitySourceService;
  readonly authorizations: AuthorizationService;
  readonly settings: SettingsService;
  readonly thirdParty: ThirdPartyService;
  readonly extensionFields: ExtensionFieldService;
  readonly departments: DepartmentService;
  readonly employees: EmployeeService;
  readonly sync: SyncService;
  readonly derivedTasks: DerivedTasks;
  readonly events: EventLog;
  /** Where this server is reached from outside; undefined: nowhere. */
  readonly publicUrl: string | undefined;
  readonly tokens: ApiTokenService;
  readonly audit: AuditLog;
}

/** What every resolver is given: made for each HTTP request, and for each operation over WebSocket. */
export interface RequestContext extends Services {
  readonly actor: Actor;
  readonly requestId: string;
  /** Where the request came from; null where that is not known. */
  readonly address: string | null;
  readonly loaders: Loaders;
}
