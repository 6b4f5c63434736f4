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

  /** @param key 32 bytes */
  constructor(private readonly key: Buffer) {
    this.keyId = createHash('sha256').update('rollcall key id').update(key).digest('hex').slice(0, 8);
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
    if (version !== 'v1' || keyId !== this.keyId || payload === undefined) {
      throw new AppError(
        'SECRET_UNREADABLE',
        `A stored secret was sealed with key ${keyId ?? '?'}, but the key in use is ${this.keyId}: set ROLLCALL_ENCRYPTION_KEY to the key that this database was used with.`,
      );
    }
    const bytes = Buffer.from(payload, 'base64');
    const decipher = createDecipheriv('aes-256-gcm', this.key, bytes.subarray(0, NONCE_BYTES))
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
