import { Field, ID, InputType, Int, ObjectType, registerEnumType } from 'type-graphql';
import { Node } from '../api/node';
import { OrderDirectionEnum } from '../api/order';
import { connectionOf } from '../api/pagination';
import { DateTime } from '../api/scalars';
import { UserError } from '../api/user-error';
import { AuthorizationStatusEnum } from '../authorization/authorization.type';
import type { AuthorizationStatusName } from '../authorization/source-authorization';
import { toTypedId } from '../platform/typed-id';
import type {
  IdentitySource,
  IdentitySourceStatusName,
  IdentitySourceTypeName,
  WecomModeName,
} from './identity-source.entity';
import { AutomaticSynchronizationInput } from './synchronization-settings.input';

export const IdentitySourceTypeEnum = { WECOM: 'WECOM', CUSTOM: 'CUSTOM' } as const;
registerEnumType(IdentitySourceTypeEnum, {
  name: 'IdentitySourceType',
  description: 'The kinds of directory.',
  valuesConfig: {
    WECOM: { description: 'WeCom (企业微信).' },
    CUSTOM: { description: 'Built-in: departments and employees are kept here.' },
  },
});

export const IdentitySourceStatusEnum = { ENABLED: 'ENABLED', CLOSED: 'CLOSED' } as const;
registerEnumType(IdentitySourceStatusEnum, {
  name: 'IdentitySourceStatus',
  description: 'Whether a source is in use.',
  valuesConfig: {
    ENABLED: { description: 'Synchronized, and its employees can log on.' },
    CLOSED: { description: 'Neither synchronized nor usable for logon; its data stays.' },
  },
});

export const WecomModeEnum = { SERVICE_PROVIDER: 'SERVICE_PROVIDER', SELF_BUILT: 'SELF_BUILT' } as const;
registerEnumType(WecomModeEnum, {
  name: 'WecomMode',
  description: 'How a WeCom company is connected.',
  valuesConfig: {
    SERVICE_PROVIDER: { description: 'By a service provider’s customised app, authorized with a QR code.' },
    SELF_BUILT: { description: 'By the company’s own app: corp id, agent id and secret.' },
  },
});

@ObjectType({ description: 'What only a WeCom source has. The secret is never shown.' })
export class WecomSettings {
  /** Where its callback comes in; null where none was set up. */
  callbackPath: string | null;

  @Field(() => WecomModeEnum, { description: 'How the company is connected.' })
  mode: WecomModeName;

  @Field(() => String, { nullable: true, description: 'The company’s id; null before it is known.' })
  corpId: string | null;

  @Field(() => String, { nullable: true, description: 'The app’s id in that company; null before it is known.' })
  agentId: string | null;

  @Field(() => DateTime, { nullable: true, description: 'When the app’s secret was last stored; null without one.' })
  secretChangedAt: Date | null;
}

@ObjectType('IdentitySource', { implements: Node, description: 'A configured directory (the console says IdP).' })
export class IdentitySourceObject extends Node {
  uuid: string;
  corpId: string | null;
  agentId: string | null;
  row: IdentitySource;

  @Field(() => DateTime, {
    nullable: true,
    description:
      'When the people and departments of a company that has cancelled its authorization will be removed; null otherwise.',
  })
  dataRemovalDueAt: Date | null;

  @Field(() => IdentitySourceTypeEnum, { description: 'The kind of directory.' })
  type: IdentitySourceTypeName;

  @Field(() => String, {
    description: '2 to 100 characters; unique, ignoring case, among sources that are not deleted.',
  })
  name: string;

  @Field(() => String, { nullable: true, description: 'Up to 512 characters, shown to employees as the logon title.' })
  description: string | null;

  @Field(() => IdentitySourceStatusEnum, { description: 'Whether it is in use.' })
  status: IdentitySourceStatusName;

  @Field(() => String, { nullable: true, description: 'The WeCom mobile logon scheme; null until it is entered.' })
  schema: string | null;

  @Field(() => WecomSettings, { nullable: true, description: 'Null unless this is a WeCom source.' })
  wecom: WecomSettings | null;

  @Field(() => DateTime, { description: 'When it was created.' })
  createdAt: Date;

  @Field(() => DateTime, { description: 'When its settings were last changed.' })
  updatedAt: Date;

  @Field(() => Int, {
    description: 'Send it back with an update to be refused if somebody changed the source in between.',
  })
  version: number;
}

export function toIdentitySource(row: IdentitySource): IdentitySourceObject {
  const { id: uuid, wecomMode, corpId, agentId, secretChangedAt } = row;
  return Object.assign(new IdentitySourceObject(), row, {
    id: toTypedId('source', uuid),
    uuid,
    row,
    wecom:
      wecomMode === null
        ? null
        : {
            mode: wecomMode,
            corpId,
            agentId,
            secretChangedAt,
            // A customised app's callback has the template's keys where it has none of its own.
            callbackPath:
              row.sealedCallbackToken || wecomMode === 'SERVICE_PROVIDER'
                ? `/callbacks/wecom/${toTypedId('source', uuid)}`
                : null,
          },
  });
}

export const IdentitySourceConnection = connectionOf(IdentitySourceObject, 'IdentitySource');

@ObjectType({ description: 'How many sources are enabled, and how many may be.' })
export class IdentitySourceQuota {
  @Field(() => Int, { description: 'Enabled sources, custom ones included.' })
  enabled: number;

  @Field(() => Int, { description: 'How many may be enabled at once.' })
  enabledLimit: number;

  @Field(() => Int, { description: 'Enabled custom sources.' })
  customEnabled: number;

  @Field(() => Int, { description: 'How many custom sources may be enabled at once.' })
  customEnabledLimit: number;
}

@InputType({ description: 'Which identity sources to list; all conditions together.' })
export class IdentitySourceFilter {
  @Field(() => IdentitySourceTypeEnum, { nullable: true, description: 'Of this type only.' })
  type?: IdentitySourceTypeName | null;

  @Field(() => IdentitySourceStatusEnum, { nullable: true, description: 'Of this status only.' })
  status?: IdentitySourceStatusName | null;

  @Field(() => AuthorizationStatusEnum, {
    nullable: true,
    description:
      'Whose newest authorization stands so; then also those that wait for their first one, which are left out otherwise. PENDING also finds those for which none was started yet.',
  })
  authorization?: AuthorizationStatusName | null;

  @Field(() => String, { nullable: true, description: 'Found anywhere in name or description, ignoring case.' })
  text?: string | null;
}

const IdentitySourceOrderFieldEnum = { CREATED_AT: 'CREATED_AT', NAME: 'NAME' } as const;
registerEnumType(IdentitySourceOrderFieldEnum, {
  name: 'IdentitySourceOrderField',
  description: 'What identity sources can be sorted by.',
  valuesConfig: {
    CREATED_AT: { description: 'When they were created.' },
    NAME: { description: 'Name, ignoring case.' },
  },
});

@InputType({ description: 'How to sort identity sources.' })
export class IdentitySourceOrder {
  @Field(() => IdentitySourceOrderFieldEnum, { description: 'By what.' })
  field: keyof typeof IdentitySourceOrderFieldEnum;

  @Field(() => OrderDirectionEnum, { defaultValue: 'ASC', description: 'Which end first.' })
  direction: keyof typeof OrderDirectionEnum;
}

@InputType({ description: 'A company’s own WeCom app, as its administrator sees it in the console.' })
export class WecomSelfBuiltInput {
  @Field(() => String, { description: 'The company’s id: 我的企业 > 企业信息 > 企业ID.' })
  corpId: string;

  @Field(() => String, { description: 'The app’s AgentId: 应用管理 > the app.' })
  agentId: string;

  @Field(() => String, { description: 'The app’s Secret: 应用管理 > the app. Stored encrypted and never shown again.' })
  secret: string;
}

@InputType({
  description:
    'What signs and encrypts WeCom’s calls to this source: of the contacts-sync callback (通讯录同步 > 设置接收事件服务器) of a self-built app, or of the customised app’s own callback.',
})
export class WecomCallbackInput {
  @Field(() => String, { description: 'Token: 1 to 32 letters and digits.' })
  token: string;

  @Field(() => String, {
    description: 'EncodingAESKey: 43 letters and digits. Stored encrypted and never shown again.',
  })
  encodingAesKey: string;
}

@InputType({ description: 'A new identity source.' })
export class CreateIdentitySourceInput {
  @Field(() => IdentitySourceTypeEnum, { description: 'The kind of directory.' })
  type: IdentitySourceTypeName;

  @Field(() => String, { description: '2 to 100 characters: Chinese characters, A-Z, a-z, digits, "-", "_".' })
  name: string;

  @Field(() => String, { nullable: true, description: 'Up to 512 characters; the logon title.' })
  description?: string | null;

  @Field(() => IdentitySourceStatusEnum, { defaultValue: 'ENABLED', description: 'Whether it is enabled at once.' })
  status: IdentitySourceStatusName;

  @Field(() => WecomSelfBuiltInput, {
    nullable: true,
    description:
      'For a WECOM source: the company’s own app, checked by a live call before anything is stored. Without it the source waits for startAuthorization: it is closed, takes no place and is in no list until a company has authorized it.',
  })
  wecomSelfBuilt?: WecomSelfBuiltInput | null;

  @Field(() => WecomCallbackInput, {
    nullable: true,
    description: 'For a WECOM source whose callback is set up: changes then arrive within seconds.',
  })
  wecomCallback?: WecomCallbackInput | null;

  @Field(() => AutomaticSynchronizationInput, {
    nullable: true,
    description: 'When it synchronizes by itself: every 24 hours, people included, unless said.',
  })
  automaticSynchronization?: AutomaticSynchronizationInput | null;

  @Field(() => String, {
    nullable: true,
    description: 'Any text of the caller’s; a repeated request with it gets the first one’s source.',
  })
  idempotencyKey?: string | null;
}

@InputType({ description: 'Changes to an identity source: absent is unchanged, null clears.' })
export class UpdateIdentitySourceInput {
  @Field(() => ID, { description: 'The source.' })
  id: string;

  @Field(() => Int, {
    nullable: true,
    description: 'The version that the caller has read; another one now refuses the update.',
  })
  version?: number | null;

  @Field(() => String, { nullable: true, description: 'The new name; null is as absent.' })
  name?: string | null;

  @Field(() => String, { nullable: true, description: 'The new logon title.' })
  description?: string | null;

  @Field(() => String, { nullable: true, description: 'The Schema value of WeCom’s mobile logon.' })
  schema?: string | null;

  @Field(() => WecomSelfBuiltInput, {
    nullable: true,
    description: 'New credentials of the same company, checked by a live call; null is as absent.',
  })
  wecomSelfBuilt?: WecomSelfBuiltInput | null;

  @Field(() => WecomCallbackInput, {
    nullable: true,
    description:
      'Keys of its callback. Cleared, a self-built app is called back no more, and a customised app with the template’s keys.',
  })
  wecomCallback?: WecomCallbackInput | null;
}

@InputType({ description: 'Which source to enable.' })
export class EnableIdentitySourceInput {
  @Field(() => ID, { description: 'The source.' })
  id: string;
}

@InputType({ description: 'Which source to disable.' })
export class DisableIdentitySourceInput {
  @Field(() => ID, { description: 'The source.' })
  id: string;
}

@ObjectType({ description: 'What became of a mutation of an identity source.' })
abstract class SourcePayload {
  @Field(() => IdentitySourceObject, { nullable: true, description: 'The source as it is now; null when refused.' })
  identitySource: IdentitySourceObject | null;

  @Field(() => [UserError], { description: 'Why it was refused; empty when it was not.' })
  userErrors: readonly UserError[];
}

@ObjectType({ description: 'What became of createIdentitySource.' })
export class CreateIdentitySourcePayload extends SourcePayload {}

@ObjectType({ description: 'What became of updateIdentitySource.' })
export class UpdateIdentitySourcePayload extends SourcePayload {}

@ObjectType({ description: 'What became of enableIdentitySource.' })
export class EnableIdentitySourcePayload extends SourcePayload {}

@ObjectType({ description: 'What became of disableIdentitySource.' })
export class DisableIdentitySourcePayload extends SourcePayload {}

@InputType({ description: 'Which source to delete.' })
export class DeleteIdentitySourceInput {
  @Field(() => ID, { description: 'The source; it must be closed.' })
  id: string;

  @Field(() => Int, { nullable: true, description: 'The version that the caller has read; another one now refuses.' })
  version?: number | null;
}

@InputType({ description: 'Which source to restore.' })
export class RestoreIdentitySourceInput {
  @Field(() => ID, { description: 'The deleted source.' })
  id: string;
}

@InputType({ description: 'Which connection to check.' })
export class RunConnectionChecksInput {
  @Field(() => ID, { description: 'The source.' })
  id: string;
}

@ObjectType({ description: 'What became of deleteIdentitySource.' })
export class DeleteIdentitySourcePayload extends SourcePayload {}

@ObjectType({ description: 'What became of restoreIdentitySource.' })
export class RestoreIdentitySourcePayload extends SourcePayload {}

@ObjectType({ description: 'What became of runConnectionChecks; the results are in connectionChecks.' })
export class RunConnectionChecksPayload extends SourcePayload {}
