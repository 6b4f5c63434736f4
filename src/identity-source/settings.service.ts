import type { DataSource } from 'typeorm';
import { endPending } from '../authorization/source-authorization';
import type { EventLog } from '../events/event-log';
import { changeSource, lockSource, notFound, refusal, type SourceOutcome, versionConflict } from './source-change';
import { freeName } from './source-name';
import { changeProblems, extensionKeys, type SynchronizationChange, storeChange } from './synchronization-settings';

/** A deleted source can be restored for so long; then its secrets are destroyed. */
export const RESTORE_DAYS = 30;

/** Changes that no directory is called for: how a source synchronizes, and whether it is there. */
export class SettingsService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly events: EventLog,
  ) {}

  /** @param version the one that the caller has read; undefined: whatever is there */
  async configure(id: string, version: number | undefined, change: SynchronizationChange): Promise<SourceOutcome> {
    return this.published(
      await changeSource(this.dataSource, null, async (client) => {
        const source = await lockSource(client, id);
        if (!source) return notFound();
        if (version !== undefined && version !== source.version) return versionConflict(source.version);
        const problems = changeProblems(source.type, change, await extensionKeys(client));
        if (problems.length > 0) return problems;
        await storeChange(client, source, change);
        return id;
      }),
    );
  }

  /** The list's switch: the same code as the edit wizard's. */
  async setAutomatic(id: string, version: number | undefined, enabled: boolean): Promise<SourceOutcome> {
    return this.configure(id, version, { automaticSynchronization: { enabled } });
  }

  /** Takes a closed source out of every list; it can be restored for 30 days. */
  async delete(id: string, version: number | undefined): Promise<SourceOutcome> {
    return this.published(
      await changeSource(this.dataSource, null, async (client) => {
        const source = await lockSource(client, id);
        if (!source) return notFound();
        if (version !== undefined && version !== source.version) return versionConflict(source.version);
        if (source.status === 'ENABLED') {
          return refusal('SOURCE_ENABLED', 'An enabled source cannot be deleted: disable it first.', ['input', 'id']);
        }
        await client.query(
          'UPDATE identity_source SET deleted_at = now(), version = version + 1, updated_at = now() WHERE id = $1',
          [id],
        );
        await endPending(client, id, 'CANCELED', null);
        return id;
      }),
    );
  }

  /** Brings a deleted source back, closed, under another name where its own was taken meanwhile. */
  async restore(id: string): Promise<SourceOutcome> {
    return this.published(
      await changeSource(this.dataSource, null, async (client) => {
        const { rows } = await client.query(
          `SELECT s.name, (SELECT o.name FROM identity_source o
                            WHERE o.corp_id = s.corp_id AND o.wecom_mode = 'SERVICE_PROVIDER' AND s.wecom_mode = 'SERVICE_PROVIDER'
                              AND o.deleted_at IS NULL AND o.sealed_secret IS NOT NULL LIMIT 1) AS "connectedBy"
             FROM identity_source s
            WHERE id = $1 AND deleted_at > now() - make_interval(days => ${RESTORE_DAYS}) FOR NO KEY UPDATE`,
          [id],
        );
        if (!rows[0]) {
          const message = `There is no source with this id that was deleted in the last ${RESTORE_DAYS} days.`;
          return refusal('NOT_FOUND', message, ['input', 'id']);
        }
        if (rows[0].connectedBy) {
          const message = `Its company is connected by the source ${rows[0].connectedBy} now: use that one, or delete it first.`;
          return refusal('COMPANY_ALREADY_CONNECTED', message, ['input', 'id']);
        }
        await client.query(
          `UPDATE identity_source SET deleted_at = NULL, status = 'CLOSED', version = version + 1, updated_at = now(), name = $2
            WHERE id = $1`,
          [id, await freeName(client, rows[0].name)],
        );
        return id;
      }),
    );
  }

  private async published(outcome: SourceOutcome): Promise<SourceOutcome> {
    await this.events.publish();
    return outcome;
  }
}
