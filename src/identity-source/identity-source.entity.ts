import { Column, Entity, PrimaryColumn } from 'typeorm';

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

  @Column({ type: 'timestamptz', name: 'secret_changed_at', nullable: true })
  secretChangedAt: Date | null;

  @Column({ type: 'integer', default: 1 })
  version: number;

  @Column({ type: 'timestamptz', name: 'created_at', default: () => 'now()' })
  createdAt: Date;

  @Column({ type: 'timestamptz', name: 'updated_at', default: () => 'now()' })
  updatedAt: Date;

  @Column({ type: 'timestamptz', name: 'deleted_at', nullable: true })
  deletedAt: Date | null;
}
