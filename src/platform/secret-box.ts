import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { AppError } from './app-error';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * Seals secrets for the database with AES-256-GCM. A sealed secret reads `v1.<key id>.<base64 of nonce, tag and text>`; the
 * key id tells which key opens it, so that keys can be rotated.
 */
export class SecretBox {
  private readonly keyId: string;
  private readonly keys: ReadonlyMap<string, Buffer>;

  /**
   * @param key 32 bytes; what is sealed is sealed with it
   * @param former keys that only open, until everything is sealed anew
   */
  constructor(
    private readonly key: Buffer,
    former: readonly Buffer[] = [],
  ) {
    this.keyId = keyIdOf(key);
    this.keys = new Map([...former, key].map((k) => [keyIdOf(k), k]));
  }

  /** Whether a sealed secret is sealed with the key in use. */
  isCurrent(sealed: string): boolean {
    return sealed.startsWith(`v1.${this.keyId}.`);
  }

  /** @param context what the secret belongs to (a row's id): a sealed secret opens nowhere else. */
  seal(secret: string, context: string): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.key, nonce).setAAD(Buffer.from(context));
    const sealed = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()]);
    return `v1.${this.keyId}.${Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64')}`;
  }

  /** @throws AppError SECRET_UNREADABLE when another key sealed it, or it was changed or moved */
  open(sealed: string, context: string): string {
    const [version, keyId, payload] = sealed.split('.');
    const key = this.keys.get(keyId ?? '');
    if (version !== 'v1' || !key || payload === undefined) {
      throw new AppError(
        'SECRET_UNREADABLE',
        `A stored secret was sealed with key ${keyId ?? '?'}, but the key in use is ${this.keyId}: set ROLLCALL_ENCRYPTION_KEY to the key that this database was used with, or add that one to ROLLCALL_FORMER_ENCRYPTION_KEYS.`,
      );
    }
    const bytes = Buffer.from(payload, 'base64');
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES))
      .setAAD(Buffer.from(context))
      .setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
    try {
      const text = decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES));
      return Buffer.concat([text, decipher.final()]).toString('utf8');
    } catch (cause) {
      throw new AppError('SECRET_UNREADABLE', 'A stored secret was changed or belongs elsewhere.', { cause });
    }
  }
}

function keyIdOf(key: Buffer): string {
  return createHash('sha256').update('rollcall key id').update(key).digest('hex').slice(0, 8);
}
