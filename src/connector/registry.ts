import { type FieldMapping, plainMapping } from '../field-mapping/field-mapping';
import type { CallPace } from './call-pace';
import type { AccessTokenStore, ConnectorField, DirectoryConnector } from './directory-connector';
import { openWecomConnector } from './wecom/wecom.connector';
import { wecomFields } from './wecom/wecom.fields';
import type { WecomMode } from './wecom/wecom.ids';

/** What a connector is opened with: the source's settings, its secret in the clear, and the server's own settings. */
export interface ConnectorSettings {
  readonly type: 'WECOM';
  readonly mode: WecomMode;
  readonly corpId: string;
  readonly agentId: string;
  readonly secret: string;
}

export interface ConnectorEnvironment {
  readonly wecomApiUrl: string;
  readonly wecomCallsPerMinute: number;
  readonly tokens: AccessTokenStore;
  /** Held by all processes together; without it by this one alone. */
  readonly pace?: CallPace;
}

/** A connector with what the sync engine must know of its kind. */
export interface OpenedConnector {
  readonly connector: DirectoryConnector;
  /** By third-party field: values that stand where the directory tells nothing. */
  readonly notTold: Readonly<Record<string, readonly string[]>>;
}

interface ConnectorKind {
  open(settings: ConnectorSettings, environment: ConnectorEnvironment): DirectoryConnector;
  readonly fields: readonly ConnectorField[];
  readonly defaultMappings: readonly FieldMapping[];
}

/** One line for each kind of directory; nothing else knows the list. */
export const CONNECTORS: Readonly<Record<ConnectorSettings['type'], ConnectorKind>> = {
  WECOM: {
    open: (settings, environment) =>
      openWecomConnector(settings, {
        apiUrl: environment.wecomApiUrl,
        callsPerMinute: environment.wecomCallsPerMinute,
        tokens: environment.tokens,
        ...(environment.pace ? { pace: environment.pace } : {}),
      }),
    fields: wecomFields,
    defaultMappings: [
      plainMapping('DEPARTMENT', 'name', 'name'),
      plainMapping('DEPARTMENT', 'englishName', 'name_en'),
      plainMapping('EMPLOYEE', 'username', 'userid'),
      plainMapping('EMPLOYEE', 'displayName', 'name'),
      plainMapping('EMPLOYEE', 'englishName', 'alias'),
      plainMapping('EMPLOYEE', 'position', 'position'),
      plainMapping('EMPLOYEE', 'email', 'email', 'biz_mail'),
      plainMapping('EMPLOYEE', 'mobile', 'mobile'),
      plainMapping('EMPLOYEE', 'telephone', 'telephone'),
      plainMapping('EMPLOYEE', 'address', 'address'),
      plainMapping('EMPLOYEE', 'gender', 'gender'),
      plainMapping('EMPLOYEE', 'manager', 'direct_leader'),
    ],
  },
};

/** Opens a source's connector. Nothing is called before the first read. */
export function openConnector(settings: ConnectorSettings, environment: ConnectorEnvironment): OpenedConnector {
  const kind = CONNECTORS[settings.type];
  const notTold = Object.fromEntries(kind.fields.map((field) => [field.name, field.notTold ?? []]));
  return { connector: kind.open(settings, environment), notTold };
}
