import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Authorization by QR code: links that wait for a scan, what WeCom calls the provider with, and news of sources. */
export class Authorization1800000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const statement of UP) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const statement of DOWN) await runner.query(statement);
  }
}

const UP = [
  // A source appears in the list at once, or in service-provider mode when its company has authorized it.
  `ALTER TABLE identity_source
     ADD appeared_at timestamptz DEFAULT now(),
     ADD enable_when_authorized boolean NOT NULL DEFAULT false,
     ADD plain_corp_id text,
     -- WeCom's clock, in seconds, of the event that brought the secret: an older one changes nothing any more.
     ADD secret_stamp bigint,
     ADD data_removal_due_at timestamptz`,
  `UPDATE identity_source SET appeared_at = created_at`,
  `CREATE INDEX identity_source_corp_idx ON identity_source (corp_id) WHERE deleted_at IS NULL`,
  `CREATE TABLE source_authorization (
     id uuid PRIMARY KEY DEFAULT new_id(),
     identity_source_id uuid NOT NULL REFERENCES identity_source,
     status text NOT NULL CHECK (status IN ('PENDING', 'AUTHORIZED', 'EXPIRED', 'REFUSED', 'CANCELED')),
     url text,
     state text UNIQUE,
     expires_at timestamptz,
     authorized_at timestamptz,
     ended_at timestamptz,
     corp_id text,
     corp_name text,
     agent_id text,
     authorized_by text,
     failure jsonb,
     created_at timestamptz NOT NULL DEFAULT now()
   )`,
  `CREATE UNIQUE INDEX one_pending_authorization ON source_authorization (identity_source_id) WHERE status = 'PENDING'`,
  `CREATE INDEX source_authorization_source_idx ON source_authorization (identity_source_id, id)`,
  `CREATE INDEX source_authorization_expiry_idx ON source_authorization (expires_at) WHERE status = 'PENDING'`,
  `INSERT INTO source_authorization (identity_source_id, status, authorized_at, corp_id, agent_id)
   SELECT id, 'AUTHORIZED', coalesce(secret_changed_at, created_at), corp_id, agent_id FROM identity_source WHERE wecom_mode IS NOT NULL`,
  // What WeCom calls the provider's addresses with, until it is worked off. \`sealed_message\` may hold a code that opens a company.
  `CREATE TABLE provider_callback (
     id uuid PRIMARY KEY DEFAULT new_id(),
     kind text NOT NULL,
     stamp bigint NOT NULL,
     digest bytea NOT NULL UNIQUE,
     sealed_message text NOT NULL,
     sealed_answer text,
     received_at timestamptz NOT NULL DEFAULT now(),
     due_at timestamptz NOT NULL DEFAULT now(),
     tries integer NOT NULL DEFAULT 0,
     done_at timestamptz,
     outcome text
   )`,
  `CREATE INDEX provider_callback_due_idx ON provider_callback (due_at) WHERE done_at IS NULL`,
  `CREATE TABLE suite_ticket (
     suite_id text PRIMARY KEY,
     sealed_ticket text NOT NULL,
     stamp bigint NOT NULL,
     received_at timestamptz NOT NULL DEFAULT now()
   )`,
  // News of sources and of authorizations are events like those of tasks, written by whoever changes the row: by a trigger,
  // so that nobody can forget them.
  `ALTER TABLE event ALTER task_id DROP NOT NULL`,
  `ALTER TABLE event DROP CONSTRAINT event_kind_check`,
  `ALTER TABLE event ADD CONSTRAINT event_kind_check CHECK (kind IN ('TASK', 'RECORDS', 'SOURCE', 'AUTHORIZATION'))`,
  `CREATE INDEX event_source_idx ON event (identity_source_id, sequence) WHERE task_id IS NULL`,
  `CREATE FUNCTION tell_source_change() RETURNS trigger LANGUAGE plpgsql AS $$
   DECLARE was boolean := false; is_there boolean; change text;
   BEGIN
     IF TG_OP = 'UPDATE' THEN was := OLD.deleted_at IS NULL AND OLD.appeared_at IS NOT NULL; END IF;
     is_there := NEW.deleted_at IS NULL AND NEW.appeared_at IS NOT NULL;
     IF is_there AND NOT was THEN change := 'ADDED';
     ELSIF was AND NOT is_there THEN change := 'REMOVED';
     ELSIF is_there AND to_jsonb(NEW) - 'callback_seen_at' - 'updated_at' <> to_jsonb(OLD) - 'callback_seen_at' - 'updated_at' THEN
       change := 'CHANGED';
     END IF;
     IF change IS NOT NULL THEN
       INSERT INTO event (kind, identity_source_id, payload) VALUES ('SOURCE', NEW.id, jsonb_build_object('change', change));
     END IF;
     RETURN NULL;
   END $$`,
  `CREATE TRIGGER identity_source_told AFTER INSERT OR UPDATE ON identity_source
     FOR EACH ROW EXECUTE FUNCTION tell_source_change()`,
  `CREATE FUNCTION tell_authorization_change() RETURNS trigger LANGUAGE plpgsql AS $$
   BEGIN
     INSERT INTO event (kind, identity_source_id, payload)
     VALUES ('AUTHORIZATION', NEW.identity_source_id, jsonb_build_object('authorizationId', NEW.id));
     RETURN NULL;
   END $$`,
  `CREATE TRIGGER source_authorization_told AFTER INSERT OR UPDATE ON source_authorization
     FOR EACH ROW EXECUTE FUNCTION tell_authorization_change()`,
];

const DOWN = [
  `DROP TRIGGER identity_source_told ON identity_source`,
  `DROP FUNCTION tell_source_change()`,
  `DROP TABLE source_authorization`,
  `DROP FUNCTION tell_authorization_change()`,
  `DROP TABLE provider_callback, suite_ticket`,
  `DELETE FROM event WHERE task_id IS NULL`,
  `DROP INDEX event_source_idx`,
  `ALTER TABLE event DROP CONSTRAINT event_kind_check`,
  `ALTER TABLE event ADD CONSTRAINT event_kind_check CHECK (kind IN ('TASK', 'RECORDS'))`,
  `ALTER TABLE event ALTER task_id SET NOT NULL`,
  `DROP INDEX identity_source_corp_idx`,
  `ALTER TABLE identity_source DROP appeared_at, DROP enable_when_authorized, DROP plain_corp_id, DROP secret_stamp,
     DROP data_removal_due_at`,
];
