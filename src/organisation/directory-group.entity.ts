import { Column, Entity, PrimaryColumn } from 'typeorm';

/** A group that the directory itself keeps beside the tree. Its members are rows of their own. */
@Entity({ name: 'directory_group' })
export class DirectoryGroup {
  @PrimaryColumn({ type: 'uuid', default: () => 'new_id()' })
  id: string;

  @Column({ type: 'uuid', name: 'identity_source_id' })
  identitySourceId: string;

  @Column({ type: 'text' })
  name: string;

  @Column({ type: 'timestamptz', name: 'created_at', default: () => 'now()' })
  createdAt: Date;

  @Column({ type: 'timestamptz', name: 'updated_at', default: () => 'now()' })
  updatedAt: Date;
}
