import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Groups that a directory keeps beside its tree, with the people and departments in them. */
export class DirectoryGroups1801000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const statement of UP) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const statement of DOWN) await runner.query(statement);
  }
}

const UP = [
  `CREATE TABLE directory_group (
     id uuid PRIMARY KEY DEFAULT new_id(),
     identity_source_id uuid NOT NULL REFERENCES identity_source,
     name text NOT NULL,
     created_at timestamptz NOT NULL DEFAULT now(),
     updated_at timestamptz NOT NULL DEFAULT now()
   )`,
  `CREATE INDEX directory_group_source_idx ON directory_group (identity_source_id, id)`,
  ...['employee', 'department'].flatMap((member) => [
    `CREATE TABLE directory_group_${member} (
       group_id uuid NOT NULL REFERENCES directory_group ON DELETE CASCADE,
       ${member}_id uuid NOT NULL REFERENCES ${member} ON DELETE CASCADE,
       PRIMARY KEY (group_id, ${member}_id)
     )`,
    `CREATE INDEX directory_group_${member}_${member}_idx ON directory_group_${member} (${member}_id, group_id)`,
  ]),
  `CREATE TABLE staged_group (
     page_id bigint NOT NULL,
     external_key text NOT NULL,
     external_id text NOT NULL,
     name text,
     employee_keys text[] NOT NULL,
     department_keys text[] NOT NULL,
     third_party jsonb NOT NULL,
     hash bytea NOT NULL,
     PRIMARY KEY (page_id, external_key)
   )`,
  `ALTER TABLE directory_event DROP CONSTRAINT directory_event_object_type_check,
     ADD CONSTRAINT directory_event_object_type_check CHECK (object_type IN ('DEPARTMENT', 'EMPLOYEE', 'GROUP'))`,
  // What earlier tasks said of groups: nothing.
  `UPDATE sync_task SET certificate = certificate || '{"groupsComplete": null, "groupsRead": 0}' WHERE certificate <> 'null'`,
  `UPDATE event SET payload = jsonb_set(payload, '{certificate}', payload -> 'certificate' || '{"groupsComplete": null, "groupsRead": 0}')
    WHERE jsonb_typeof(payload -> 'certificate') = 'object'`,
];

const DOWN = [
  `DELETE FROM directory_event WHERE object_type = 'GROUP'`,
  `ALTER TABLE directory_event DROP CONSTRAINT directory_event_object_type_check,
     ADD CONSTRAINT directory_event_object_type_check CHECK (object_type IN ('DEPARTMENT', 'EMPLOYEE'))`,
  `DELETE FROM sync_record WHERE object_type = 'GROUP'`,
  `DELETE FROM task_page WHERE object_type = 'GROUP'`,
  `DELETE FROM snapshot_page WHERE object_type = 'GROUP'`,
  `DELETE FROM link WHERE kind = 'GROUP'`,
  `DROP TABLE staged_group, directory_group_department, directory_group_employee, directory_group`,
];
