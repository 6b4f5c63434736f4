import { XMLParser } from 'fast-xml-parser';
import { CallbackRefused } from '../connector/wecom/wecom.callback-crypto';
import { identifier } from '../connector/wecom/wecom.dto';
import type { SyncObjectTypeName } from '../field-mapping/field-mapping';

/** Texts only, trimmed; no entities beyond XML's own five, no document types. */
const parser = new XMLParser({ parseTagValue: false, trimValues: true, ignoreAttributes: true, processEntities: true });

/** More than a tag's 30,000 members, encrypted and sealed, make. */
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

/** A decrypted message's elements by name; nested ones are left out. */
export type WecomMessage = Readonly<Record<string, string>>;

/**
 * The encrypted text of what was posted; empty where there is none. Anybody may post, so that XML is not parsed for it.
 * @throws CallbackRefused
 */
export function encryptedOf(body: string): string {
  if (isJson(body)) return textsOf(parseJson(body))['Encrypt'] ?? '';
  requireNoDocumentType(body);
  const start = body.indexOf(OPENING);
  const end = body.indexOf('</Encrypt>', start);
  if (start < 0 || end < 0) return '';
  const text = body.slice(start + OPENING.length, end).trim();
  return text.startsWith(CDATA) && text.endsWith(']]>') ? text.slice(CDATA.length, -3).trim() : text;
}

const OPENING = '<Encrypt>';
const CDATA = '<![CDATA[';

/** Reads one message, which was verified. It is XML, or JSON where the address was set so. @throws CallbackRefused */
export function parseMessage(message: string): WecomMessage {
  return textsOf(isJson(message) ? parseJson(message) : parseXml(message));
}

function isJson(text: string): boolean {
  return text.trimStart().startsWith('{');
}

function parseJson(text: string): object {
  try {
    return JSON.parse(text);
  } catch {
    throw new CallbackRefused('The callback is not JSON.');
  }
}

/** Nothing that WeCom sends has a document type, and entities are how XML is attacked. */
function requireNoDocumentType(xml: string): void {
  if (/<!DOCTYPE|<!ENTITY/i.test(xml)) throw new CallbackRefused('The callback is no message of WeCom’s.');
}

function parseXml(xml: string): object {
  requireNoDocumentType(xml);
  let root: unknown;
  try {
    root = (parser.parse(xml) as { xml?: unknown }).xml;
  } catch {
    throw new CallbackRefused('The callback is not XML.');
  }
  if (typeof root !== 'object' || root === null) throw new CallbackRefused('The callback has no <xml>.');
  return root;
}

function textsOf(root: object): WecomMessage {
  const texts = Object.entries(root).filter(([, value]) => typeof value === 'string' || typeof value === 'number');
  return Object.fromEntries(texts.map(([name, value]) => [name, String(value).trim()]));
}

/** An object that a message names. */
export interface NamedObject {
  readonly objectType: SyncObjectTypeName;
  readonly externalId: string;
  /** The id that the directory gave it in the former one's place. */
  readonly newId: NewId | null;
}

/** What somebody is called from then on. */
export interface NewId {
  readonly externalId: string;
  /** When it was given, in seconds of the epoch; null where the message does not say. */
  readonly changedAt: number | null;
}

/**
 * What a message says has changed: always only that it is worth reading again. Undefined for what does not concern us, and for what
 * has no id that could be read.
 * Source: developer.work.weixin.qq.com/document/path/96302 to 96304, 90376
 */
export function objectOf(message: WecomMessage): NamedObject | undefined {
  if (message['MsgType'] !== 'event') return undefined;
  const event = message['Event'];
  if (event === 'subscribe' || event === 'unsubscribe') return named('EMPLOYEE', message['FromUserName']);
  if (event !== 'change_contact') return undefined;
  switch (message['ChangeType']) {
    case 'create_user':
    case 'update_user':
    case 'delete_user':
      return named('EMPLOYEE', message['UserID'], newIdOf(message));
    case 'create_party':
    case 'update_party':
    case 'delete_party':
      return named('DEPARTMENT', message['Id']);
    case 'update_tag':
      return named('GROUP', message['TagId']);
    default:
      return undefined;
  }
}

function named(
  objectType: SyncObjectTypeName,
  id: string | undefined,
  newId: NewId | null = null,
): NamedObject | undefined {
  const externalId = identifier(id);
  return externalId ? { objectType, externalId, newId } : undefined;
}

/** A time that is none is not told: it only serves to know a message again. */
function newIdOf({ NewUserID, CreateTime }: WecomMessage): NewId | null {
  const externalId = identifier(NewUserID);
  return externalId ? { externalId, changedAt: /^\d{1,10}$/.test(CreateTime ?? '') ? Number(CreateTime) : null } : null;
}
