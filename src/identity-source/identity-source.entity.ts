import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { FieldMapping } from '../field-mapping/field-mapping';

export type IdentitySourceTypeName = 'WECOM' | 'CUSTOM';
export type IdentitySourceStatusName = 'ENABLED' | 'CLOSED';
export type WecomModeName = 'SERVICE_PROVIDER' | 'SELF_BUILT';

/** A configured directory. Deleted sources keep their row (`deletedAt`), for audit and restoring. */
@Entity({ name: 'identity_source' })
export class IdentitySource {
  @PrimaryColumn({ type: 'uuid', default: () => 'new_id()' })
  id: string;

  @Column({ type: 'text' })
  type: IdentitySourceTypeName;

  @Column({ type: 'text' })
  name: string;

  @Column({ type: 'text', nullable: true })
  description: string | null;

  @Column({ type: 'text' })
  status: IdentitySourceStatusName;

  @Column({ type: 'text', nullable: true })
  schema: string | null;

  @Column({ type: 'text', name: 'wecom_mode', nullable: true })
  wecomMode: WecomModeName | null;

  @Column({ type: 'text', name: 'corp_id', nullable: true })
  corpId: string | null;

  @Column({ type: 'text', name: 'agent_id', nullable: true })
  agentId: string | null;

  /** See SecretBox; never leaves the server. */
  @Column({ type: 'text', name: 'sealed_secret', nullable: true })
  sealedSecret: string | null;

  /** Token and encoding key of the contacts-sync callback, sealed; null without one. */
  @Column({ type: 'text', name: 'sealed_callback_token', nullable: true })
  sealedCallbackToken: string | null;

  @Column({ type: 'text', name: 'sealed_callback_key', nullable: true })
  sealedCallbackKey: string | null;

  /** Null until the company of a source in service-provider mode has authorized it: until then no list shows it. */
  @Column({ type: 'timestamptz', name: 'appeared_at', nullable: true, default: () => 'now()' })
  appearedAt: Date | null;

  /** Whether it is to be enabled as soon as its company authorizes it. */
  @Column({ type: 'boolean', name: 'enable_when_authorized', default: false })
  enableWhenAuthorized: boolean;

  /** WeCom's time, in seconds, of the event that brought the secret; null for secrets that were entered here. */
  @Column({ type: 'bigint', name: 'secret_stamp', nullable: true })
  secretStamp: number | null;

  /** Beside an encrypted `corpId`, once a callback has told it. */
  @Column({ type: 'text', name: 'plain_corp_id', nullable: true })
  plainCorpId: string | null;

  /** When the data of a company that has cancelled goes; null while it has not. */
  @Column({ type: 'timestamptz', name: 'data_removal_due_at', nullable: true })
  dataRemovalDueAt: Date | null;

  /** When the directory's last callback came, to the minute. */
  @Column({ type: 'timestamptz', name: 'callback_seen_at', nullable: true })
  callbackSeenAt: Date | null;

  @Column({ type: 'timestamptz', name: 'secret_changed_at', nullable: true })
  secretChangedAt: Date | null;

  @Column({ type: 'boolean', name: 'automatic_enabled', default: true })
  automaticEnabled: boolean;

  @Column({ type: 'boolean', name: 'automatic_user_information', default: true })
  automaticUserInformation: boolean;

  /** Hours from one automatic run to the next: 1 to 24. */
  @Column({ type: 'integer', name: 'cycle_hours', default: 24 })
  cycleHours: number;

  /** When the next automatic run is due; null while there is none. */
  @Column({ type: 'timestamptz', name: 'next_run_at', nullable: true })
  nextRunAt: Date | null;

  @Column({ type: 'text', name: 'scope_mode', default: 'ALL' })
  scopeMode: 'ALL' | 'PARTIAL';

  @Column({ type: 'text', name: 'scope_department_ids', array: true, default: '{}' })
  scopeDepartmentIds: string[];

  /** Null: the connector's defaults. */
  @Column({ type: 'jsonb', name: 'field_mappings', nullable: true })
  fieldMappings: FieldMapping[] | null;

  @Column({ type: 'integer', name: 'max_removals', default: 50 })
  maxRemovals: number;

  @Column({ type: 'double precision', name: 'max_removal_percent', default: 10 })
  maxRemovalPercent: number;

  @Column({ type: 'integer', name: 'minimum_objects', default: 5 })
  minimumObjects: number;

  @Column({ type: 'integer', name: 'leaver_grace_days', default: 7 })
  leaverGraceDays: number;

  @Column({ type: 'integer', default: 1 })
  version: number;

  @Column({ type: 'timestamptz', name: 'created_at', default: () => 'now()' })
  createdAt: Date;

  @Column({ type: 'timestamptz', name: 'updated_at', default: () => 'now()' })
  updatedAt: Date;

  @Column({ type: 'timestamptz', name: 'deleted_at', nullable: true })
  deletedAt: Date | null;
}
