import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import { inTransaction } from '../database/transaction';
import type { EventLog } from '../events/event-log';
import { removeCompanyData } from '../organisation/remove-company-data';
import { Recurring } from '../platform/recurring';

/** Each look is an indexed query. */
const EVERY_MS = 2_000;

/** A link that nobody scanned in time. */
const EXPIRE = `
UPDATE source_authorization SET status = 'EXPIRED', url = NULL, ended_at = now(),
       failure = '{"code": "AUTHORIZATION_EXPIRED", "message": "Nobody scanned the link in time: startAuthorization makes another one."}'
 WHERE status = 'PENDING' AND expires_at <= now() RETURNING id`;

/** A source that no company has authorized goes a day after its last link ended, or after it was made without one. */
const REMOVE_FAILED = `
UPDATE identity_source s SET deleted_at = now(), version = version + 1, updated_at = now()
 WHERE s.appeared_at IS NULL AND s.deleted_at IS NULL AND s.created_at < now() - interval '1 day'
   AND NOT EXISTS (SELECT FROM source_authorization a WHERE a.identity_source_id = s.id
                      AND (a.status = 'PENDING' OR a.ended_at > now() - interval '1 day'))
RETURNING id`;

const DATA_DUE = `
SELECT id FROM identity_source WHERE data_removal_due_at <= now() ORDER BY data_removal_due_at LIMIT 1 FOR UPDATE SKIP LOCKED`;

/** Ends what nobody ended: links, sources that came to nothing, and the data of companies that have cancelled. */
export class AuthorizationUpkeep {
  private readonly looks: Recurring;

  constructor(
    private readonly dataSource: DataSource,
    private readonly events: EventLog,
    private readonly log: Logger,
  ) {
    this.looks = new Recurring(
      EVERY_MS,
      () => this.look(),
      (error) => log.warn({ err: error }, 'authorization.upkeep-failed'),
    );
  }

  start(): void {
    this.looks.start();
  }

  stop(): Promise<void> {
    return this.looks.stop();
  }

  private async look(): Promise<void> {
    const [expired] = await this.dataSource.query(EXPIRE);
    const [removed] = await this.dataSource.query(REMOVE_FAILED);
    if (expired.length + removed.length > 0) {
      this.log.info({ expired: expired.length, removed: removed.length }, 'authorization.ended');
      await this.events.publish();
    }
    while (await this.removeNextCompany());
  }

  private async removeNextCompany(): Promise<boolean> {
    const removed = await inTransaction(this.dataSource, async (client) => {
      const { rows } = await client.query(DATA_DUE);
      const id: string | undefined = rows[0]?.id;
      if (!id) return undefined;
      await removeCompanyData(client, id);
      await client.query('UPDATE identity_source SET data_removal_due_at = NULL WHERE id = $1', [id]);
      return id;
    });
    if (removed) {
      this.log.info({ identitySourceId: removed }, 'authorization.company-data-removed');
      await this.events.publish();
    }
    return removed !== undefined;
  }
}
