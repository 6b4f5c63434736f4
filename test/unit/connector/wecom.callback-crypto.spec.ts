import { createHash } from 'node:crypto';
import {
  CallbackRefused,
  decrypt,
  encrypt,
  isEncodingAesKey,
  isSigned,
  pad,
  signature,
} from '../../../src/connector/wecom/wecom.callback-crypto';
import fixtures from '../../fixtures/wecom/crypto-vectors.json';

interface Vector {
  id: string;
  token: string;
  timestamp: string;
  nonce: string;
  encrypt: string;
  msg_signature?: string;
  encodingAESKey?: string;
  receiveId?: string;
  plaintext?: string;
  plaintextSha256?: string;
  randomHex?: string;
  signatureVerified?: boolean;
}

const vectors = [...fixtures.vectors, ...fixtures.derivedVectors] as unknown as Vector[];
const find = (id: string): Vector => {
  const vector = vectors.find((v) => v.id === id);
  if (!vector) throw new Error(id);
  return vector;
};
const keysOf = (v: Vector) => ({ token: v.token, encodingAesKey: v.encodingAESKey ?? '' });

describe('WeCom’s callback encryption', () => {
  const signed = vectors.filter((v) => v.msg_signature && v.signatureVerified !== undefined);
  it.each(signed.map((v) => [v.id, v] as const))('signs %s', (_id, v) => {
    expect(isSigned(keysOf(v), v.timestamp, v.nonce, v.encrypt, v.msg_signature ?? '')).toBe(true);
  });

  const readable = vectors.filter((v) => v.encodingAESKey);
  it.each(readable.map((v) => [v.id, v] as const))('reads %s, and writes it again byte for byte', (_id, v) => {
    const { message, receiveId } = decrypt(keysOf(v), v.encrypt);
    if (v.plaintext !== undefined) expect(message).toBe(v.plaintext);
    if (v.plaintextSha256) expect(createHash('sha256').update(message).digest('hex')).toBe(v.plaintextSha256);
    expect(receiveId).toBe(v.receiveId);
    if (v.randomHex) expect(encrypt(keysOf(v), message, receiveId, Buffer.from(v.randomHex, 'hex'))).toBe(v.encrypt);
  });

  it('refuses a wrong signature, nonce, key, a cut text and a foreign receiver', () => {
    const v = find('official-verify-url');
    expect(isSigned(keysOf(v), v.timestamp, v.nonce, v.encrypt, '5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd4')).toBe(
      false,
    );
    const echo = find('wechatpy-echo');
    expect(isSigned(keysOf(echo), echo.timestamp, '437374424', echo.encrypt, echo.msg_signature ?? '')).toBe(false);
    expect(isSigned(keysOf(v), v.timestamp, v.nonce, v.encrypt.replaceAll('+', ' '), v.msg_signature ?? '')).toBe(
      false,
    );
    expect(() => decrypt(keysOf(v), v.encrypt.slice(0, 30))).toThrow(CallbackRefused);
    expect(() => decrypt({ ...keysOf(v), encodingAesKey: 'a'.repeat(43) }, v.encrypt)).toThrow(CallbackRefused);
    expect(decrypt(keysOf(find('suite-suite_ticket')), find('suite-suite_ticket').encrypt).receiveId).not.toBe(
      'dkffffffffffffffff',
    );
  });

  it.each(fixtures.encodingAESKeyValidation.cases.map((c) => [c.key, c.valid] as const))(
    'says whether "%s" is a key: %s',
    (key, valid) => {
      expect(isEncodingAesKey(key)).toBe(valid);
    },
  );

  it.each(fixtures.pkcs7Block32.cases.map((c, i) => [i, c] as const))('pads to 32 bytes, case %i', (_i, c) => {
    const { inputHex, inputAscii, outputHex } = c as { inputHex?: string; inputAscii?: string; outputHex: string };
    const input = inputHex === undefined ? Buffer.from(inputAscii ?? '') : Buffer.from(inputHex, 'hex');
    expect(pad(input).toString('hex')).toBe(outputHex);
  });

  it('sorts by byte value', () => {
    expect(signature('a', 'B', '1', '+')).toBe(createHash('sha1').update('+1Ba').digest('hex'));
  });
});
