import { createCipheriv, createDecipheriv, createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** WeCom's callback encryption. Source: developer.work.weixin.qq.com/document/path/90968 */

const BLOCK = 32;
const RANDOM_BYTES = 16;
const LENGTH_BYTES = 4;
const KEY_PATTERN = /^[A-Za-z0-9]{43}$/;

/** A callback that is not to be believed or cannot be read; nothing of it may be used. */
export class CallbackRefused extends Error {}

/** What signs and what encrypts one callback address. */
export interface CallbackKeys {
  readonly token: string;
  /** 43 letters and digits: base64 of 32 bytes without its last sign. */
  readonly encodingAesKey: string;
}

/** Whether the text can be an EncodingAESKey. Its last character may carry spare bits that a strict decoder refuses. */
export function isEncodingAesKey(text: string): boolean {
  return KEY_PATTERN.test(text) && Buffer.from(`${text}=`, 'base64').length === BLOCK;
}

/** Lower-case hexadecimal SHA-1 over the four texts in byte order. */
export function signature(token: string, timestamp: string, nonce: string, encrypted: string): string {
  const parts = [token, timestamp, nonce, encrypted].map((part) => Buffer.from(part)).sort(Buffer.compare);
  return createHash('sha1').update(Buffer.concat(parts)).digest('hex');
}

/** Compared in constant time. */
export function isSigned(
  keys: CallbackKeys,
  timestamp: string,
  nonce: string,
  encrypted: string,
  given: string,
): boolean {
  const expected = Buffer.from(signature(keys.token, timestamp, nonce, encrypted));
  const actual = Buffer.from(given);
  return expected.length === actual.length && timingSafeEqual(expected, actual);
}

/**
 * The message and whom it is for. Call it only after {@link isSigned}; compare the receiver with the ids known for the address.
 * @throws CallbackRefused for a wrong key, a cut text or lengths that do not fit
 */
export function decrypt(keys: CallbackKeys, encrypted: string): { message: string; receiveId: string } {
  const bytes = unpad(decipher(keys, encrypted));
  const start = RANDOM_BYTES + LENGTH_BYTES;
  if (bytes.length < start) throw new CallbackRefused('The callback is too short.');
  const end = start + bytes.readUInt32BE(RANDOM_BYTES);
  if (end > bytes.length) throw new CallbackRefused('The callback tells a length that it does not have.');
  return { message: bytes.toString('utf8', start, end), receiveId: bytes.toString('utf8', end) };
}

/** @param random 16 bytes; given in tests only */
export function encrypt(
  keys: CallbackKeys,
  message: string,
  receiveId: string,
  random = randomBytes(RANDOM_BYTES),
): string {
  const text = Buffer.from(message);
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(text.length);
  const key = keyOf(keys);
  const cipher = createCipheriv('aes-256-cbc', key, key.subarray(0, 16)).setAutoPadding(false);
  return Buffer.concat([
    cipher.update(pad(Buffer.concat([random, length, text, Buffer.from(receiveId)]))),
    cipher.final(),
  ]).toString('base64');
}

/** PKCS#7 up to 32 bytes, which libraries with a block of 16 get wrong. */
export function pad(bytes: Buffer): Buffer {
  const size = BLOCK - (bytes.length % BLOCK);
  return Buffer.concat([bytes, Buffer.alloc(size, size)]);
}

function unpad(bytes: Buffer): Buffer {
  const size = bytes.at(-1) ?? 0;
  if (size < 1 || size > BLOCK || size > bytes.length) throw new CallbackRefused('The callback’s padding is wrong.');
  return bytes.subarray(0, bytes.length - size);
}

function decipher(keys: CallbackKeys, encrypted: string): Buffer {
  const key = keyOf(keys);
  const bytes = Buffer.from(encrypted, 'base64');
  if (bytes.length === 0 || bytes.length % 16 !== 0) throw new CallbackRefused('The callback is cut.');
  const plain = createDecipheriv('aes-256-cbc', key, key.subarray(0, 16)).setAutoPadding(false);
  return Buffer.concat([plain.update(bytes), plain.final()]);
}

function keyOf(keys: CallbackKeys): Buffer {
  if (!isEncodingAesKey(keys.encodingAesKey))
    throw new CallbackRefused('The EncodingAESKey must be 43 letters and digits.');
  return Buffer.from(`${keys.encodingAesKey}=`, 'base64');
}
