import { isEncodingAesKey } from '../connector/wecom/wecom.callback-crypto';
import type { WecomCallback, WecomCredentials } from './identity-source.service';
import type { Refusal } from './source-change';

const NAME = /^[\p{Script=Han}A-Za-z0-9_-]{2,100}$/u;
const MAX_DESCRIPTION = 512;

/** 2 to 100 code points of Chinese characters, Latin letters, digits, `-` and `_`. */
export function nameProblem(name: string): Refusal | undefined {
  if (NAME.test(name)) return undefined;
  const message = 'A name has 2 to 100 characters: Chinese characters, A-Z, a-z, digits, "-" and "_".';
  return { code: 'INVALID_NAME', message, field: ['input', 'name'] };
}

export function descriptionProblem(description: string | null): Refusal | undefined {
  if (description === null || [...description].length <= MAX_DESCRIPTION) return undefined;
  const message = `A description has at most ${MAX_DESCRIPTION} characters.`;
  return { code: 'INVALID_INPUT', message, field: ['input', 'description'] };
}

/** The WeCom mobile logon scheme: `wwauth` and letters and digits. Another length is only a warning, see {@link schemaWarning}. */
export function schemaProblem(schema: string): Refusal | undefined {
  if (/^wwauth[A-Za-z0-9]{1,64}$/.test(schema)) return undefined;
  const message =
    'A Schema value is "wwauth" followed by letters and digits, as the WeCom console shows it (企业微信授权登录).';
  return { code: 'SCHEMA_INVALID', message, field: ['input', 'schema'] };
}

/**
 * `wwauth`, the plain corp id without its two-letter prefix, and the agent id's last six digits; undefined where these ids do
 * not have that form.
 */
export function suggestedSchema(corpId: string | null, agentId: string | null): string | undefined {
  const hex = /^w[wx]([0-9a-f]{16})$/i.exec(corpId ?? '')?.[1];
  if (!hex || !/^\d{1,10}$/.test(agentId ?? '')) return undefined;
  return `wwauth${hex.toLowerCase()}${String(agentId).slice(-6).padStart(6, '0')}`;
}

/** What looks wrong with a Schema value that is not refused. */
export function schemaWarning(
  schema: string | null,
  corpId: string | null,
  agentId: string | null,
): string | undefined {
  if (!schema) return undefined;
  if (!/^wwauth[0-9a-f]{16}[0-9]{6}$/.test(schema)) {
    return 'A Schema value usually has 28 characters: "wwauth", 16 hexadecimal digits and 6 digits.';
  }
  const expected = suggestedSchema(corpId, agentId);
  if (!expected && agentId && !schema.endsWith(agentId.slice(-6).padStart(6, '0'))) {
    return `This Schema value does not end with the last six digits of the agent id ${agentId}. Compare it with the WeCom console.`;
  }
  if (!expected || expected === schema) return undefined;
  return `This Schema value does not fit the corp id and agent id, which give ${expected}. Compare it with the WeCom console.`;
}

export function wecomProblems(credentials: WecomCredentials): Refusal[] {
  const at = (field: string, message: string): Refusal => ({
    code: 'INVALID_INPUT',
    message,
    field: ['input', 'wecomSelfBuilt', field],
  });
  const problems: Refusal[] = [];
  if (!/^[A-Za-z0-9_-]{4,64}$/.test(credentials.corpId)) {
    problems.push(
      at('corpId', 'A corp id has letters and digits only, such as wwac6ffb259ff6f66a (我的企业 > 企业信息 > 企业ID).'),
    );
  }
  if (!/^\d{1,10}$/.test(credentials.agentId)) {
    problems.push(at('agentId', 'An agent id is a number, such as 1000002 (应用管理 > the app > AgentId).'));
  }
  if (!/^[\x21-\x7e]{1,512}$/.test(credentials.secret)) {
    problems.push(
      at('secret', 'A secret has 1 to 512 printable characters without spaces (应用管理 > the app > Secret).'),
    );
  }
  return problems;
}

export function callbackProblems({ token, encodingAesKey }: WecomCallback): Refusal[] {
  const at = (field: string, message: string): Refusal => ({
    code: 'INVALID_INPUT',
    message,
    field: ['input', 'wecomCallback', field],
  });
  const problems: Refusal[] = [];
  if (!/^[A-Za-z0-9]{1,32}$/.test(token))
    problems.push(at('token', 'A callback token has 1 to 32 letters and digits, as in the WeCom console.'));
  if (!isEncodingAesKey(encodingAesKey))
    problems.push(at('encodingAesKey', 'An EncodingAESKey has 43 letters and digits, as in the WeCom console.'));
  return problems;
}
