import type { DataSource } from 'typeorm';
import type { WecomProviderConfig } from '../config/config';
import type { CallbackKeys } from '../connector/wecom/wecom.callback-crypto';
import { corpKey, hasEncryptedIds, isPlainCorpId, type WecomMode } from '../connector/wecom/wecom.ids';
import type { SecretBox } from '../platform/secret-box';
import { fromTypedId } from '../platform/typed-id';

/** A source as far as its callbacks are concerned. */
export interface CallbackSource {
  readonly id: string;
  readonly mode: WecomMode;
  readonly corpId: string;
  /** Known once a callback came under it; only where `corpId` is encrypted. */
  readonly plainCorpId: string | null;
}

/** One address and what signs and encrypts what comes there. */
export interface CallbackAddress {
  readonly keys: CallbackKeys;
  /** Where events of the provider's template are accepted. */
  readonly templateId: string | undefined;
  /** Undefined at the template's address, where every company's events may come. */
  readonly source: CallbackSource | undefined;
}

const SOURCE_COLUMNS = `id, wecom_mode AS mode, corp_id AS "corpId", plain_corp_id AS "plainCorpId"`;

/** Which addresses there are, and whom their messages may be for. */
export class CallbackAddresses {
  constructor(
    private readonly dataSource: DataSource,
    private readonly secrets: SecretBox,
    private readonly provider: WecomProviderConfig | undefined,
  ) {}

  /** The template's address; undefined where this server is no service provider. */
  async template(): Promise<CallbackAddress | undefined> {
    const keys = this.templateKeys();
    return keys && { keys, templateId: this.provider?.templateId, source: undefined };
  }

  /** A source's own address, with its own keys, or those of the template where it has none. */
  async ofSource(typedId: string): Promise<CallbackAddress | undefined> {
    const id = fromTypedId('source', typedId);
    if (!id) return undefined;
    const [row] = await this.dataSource.query(
      `SELECT ${SOURCE_COLUMNS}, sealed_callback_token AS token, sealed_callback_key AS key
         FROM identity_source WHERE id = $1 AND deleted_at IS NULL AND corp_id IS NOT NULL`,
      [id],
    );
    if (!row) return undefined;
    const source: CallbackSource = row;
    if (row.token && row.key) {
      const keys = { token: this.secrets.open(row.token, id), encodingAesKey: this.secrets.open(row.key, id) };
      return { keys, templateId: undefined, source };
    }
    const keys = row.mode === 'SERVICE_PROVIDER' ? this.templateKeys() : undefined;
    return keys && { keys, templateId: this.provider?.templateId, source };
  }

  /**
   * Whom an app's message is for. `UNRESOLVED`: for a company under its plain id, which WeCom must be asked about.
   * @returns undefined where it is for nobody here
   */
  async receiver(address: CallbackAddress, receiveId: string): Promise<CallbackSource | 'UNRESOLVED' | undefined> {
    const { source } = address;
    if (source) {
      if (isFor(source, receiveId)) return source;
      return source.plainCorpId === null && hasEncryptedIds(source.corpId, source.mode) && isPlainCorpId(receiveId)
        ? 'UNRESOLVED'
        : undefined;
    }
    const [row] = await this.dataSource.query(
      `SELECT ${SOURCE_COLUMNS} FROM identity_source
        WHERE wecom_mode = 'SERVICE_PROVIDER' AND deleted_at IS NULL AND sealed_secret IS NOT NULL
          AND (corp_id = $1 OR lower(plain_corp_id) = lower($1))`,
      [receiveId],
    );
    return row ?? (isPlainCorpId(receiveId) ? 'UNRESOLVED' : undefined);
  }

  private templateKeys(): CallbackKeys | undefined {
    return (
      this.provider && {
        token: this.provider.callbackToken.reveal(),
        encodingAesKey: this.provider.callbackEncodingAesKey.reveal(),
      }
    );
  }
}

/** Whether a message's receiver is the source's company, under either of its ids. */
function isFor(source: CallbackSource, receiveId: string): boolean {
  return [source.corpId, source.plainCorpId].some(
    (id) => id !== null && corpKey(id, source.mode) === corpKey(receiveId, source.mode),
  );
}
