import type { FieldMapping } from '../field-mapping/field-mapping';
import type { AccessTokenStore, ConnectorField, DirectoryConnector } from './directory-connector';
import { openWecomConnector } from './wecom/wecom.connector';
import { wecomFields } from './wecom/wecom.fields';

/** What a connector is opened with: the source's settings, its secret in the clear, and the server's own settings. */
export interface ConnectorSettings {
  readonly type: 'WECOM';
  readonly corpId: string;
  readonly agentId: string;
  readonly secret: string;
}

export interface ConnectorEnvironment {
  readonly wecomApiUrl: string;
  readonly wecomCallsPerMinute: number;
  readonly tokens: AccessTokenStore;
}

interface ConnectorKind {
  open(settings: ConnectorSettings, environment: ConnectorEnvironment): DirectoryConnector;
  readonly fields: readonly ConnectorField[];
  readonly defaultMappings: readonly FieldMapping[];
}

const employee = (localField: string, ...thirdPartyFields: string[]): FieldMapping => ({
  objectType: 'EMPLOYEE',
  thirdPartyFields,
  localField,
});

/** One line for each kind of directory; nothing else knows the list. */
export const CONNECTORS: Readonly<Record<ConnectorSettings['type'], ConnectorKind>> = {
  WECOM: {
    open: (settings, environment) =>
      openWecomConnector(settings, {
        apiUrl: environment.wecomApiUrl,
        callsPerMinute: environment.wecomCallsPerMinute,
        tokens: environment.tokens,
      }),
    fields: wecomFields,
    defaultMappings: [
      { objectType: 'DEPARTMENT', thirdPartyFields: ['name'], localField: 'name' },
      { objectType: 'DEPARTMENT', thirdPartyFields: ['name_en'], localField: 'englishName' },
      employee('username', 'userid'),
      employee('displayName', 'name'),
      employee('englishName', 'alias'),
      employee('position', 'position'),
      employee('email', 'email', 'biz_mail'),
      employee('mobile', 'mobile'),
      employee('telephone', 'telephone'),
      employee('address', 'address'),
      employee('gender', 'gender'),
      employee('manager', 'direct_leader'),
    ],
  },
};
