import { XMLParser } from 'fast-xml-parser';
import { CallbackRefused } from '../connector/wecom/wecom.callback-crypto';
import type { SyncObjectTypeName } from '../field-mapping/field-mapping';

/** Texts only, trimmed; no entities beyond XML's own five, no document types. */
const parser = new XMLParser({ parseTagValue: false, trimValues: true, ignoreAttributes: true, processEntities: true });

const MAX_MESSAGE = 1024 * 1024;

/** A decrypted message's elements by name; nested ones are left out. */
export type WecomMessage = Readonly<Record<string, string>>;

/**
 * Reads one XML message. Document types are refused: nothing that WeCom sends has one, and entities are how XML is attacked.
 * @throws CallbackRefused
 */
export function parseMessage(xml: string): WecomMessage {
  if (xml.length > MAX_MESSAGE || /<!DOCTYPE|<!ENTITY/i.test(xml)) {
    throw new CallbackRefused('The callback is no message of WeCom’s.');
  }
  let root: unknown;
  try {
    root = (parser.parse(xml) as { xml?: unknown }).xml;
  } catch {
    throw new CallbackRefused('The callback is not XML.');
  }
  if (typeof root !== 'object' || root === null) throw new CallbackRefused('The callback has no <xml>.');
  const texts = Object.entries(root).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  return Object.fromEntries(texts.map(([name, value]) => [name, value.trim()]));
}

/** An object that a message names. */
export interface NamedObject {
  readonly objectType: SyncObjectTypeName;
  readonly externalId: string;
  /** The id that the directory gave it in the former one's place. */
  readonly newExternalId: string | null;
}

/**
 * What a message says has changed: always only that it is worth reading again. Undefined for what does not concern us.
 * Source: developer.work.weixin.qq.com/document/path/96302 to 96304, 90376
 */
export function objectOf(message: WecomMessage): NamedObject | undefined {
  if (message['MsgType'] !== 'event') return undefined;
  const event = message['Event'];
  const person = (externalId: string | undefined, newId?: string): NamedObject | undefined =>
    externalId ? { objectType: 'EMPLOYEE', externalId, newExternalId: newId || null } : undefined;
  if (event === 'subscribe' || event === 'unsubscribe') return person(message['FromUserName']);
  if (event !== 'change_contact') return undefined;
  switch (message['ChangeType']) {
    case 'create_user':
    case 'update_user':
    case 'delete_user':
      return person(message['UserID'], message['NewUserID']);
    case 'create_party':
    case 'update_party':
    case 'delete_party':
      return message['Id'] ? { objectType: 'DEPARTMENT', externalId: message['Id'], newExternalId: null } : undefined;
    case 'update_tag':
      return message['TagId'] ? { objectType: 'GROUP', externalId: message['TagId'], newExternalId: null } : undefined;
    default:
      return undefined;
  }
}
