import { cdata } from '../callbacks/contact-events';
import type { Message } from '../callbacks/delivery';

/** What a template is told. Source: developer.work.weixin.qq.com/document/path/97173, 97175 and 100965 */
export type SuiteEvent =
  | { readonly infoType: 'suite_ticket'; readonly SuiteTicket: string }
  | { readonly infoType: 'create_auth'; readonly AuthCode: string; readonly State: string }
  | { readonly infoType: 'change_auth'; readonly AuthCorpId: string; readonly State: string }
  | { readonly infoType: 'cancel_auth'; readonly AuthCorpId: string }
  | { readonly infoType: 'reset_permanent_code'; readonly AuthCode: string };

/** The message as WeCom writes it; those with a State have an ExtraInfo too, which is empty here. */
export function suiteMessage(templateId: string, { infoType, ...fields }: SuiteEvent): Message {
  const elements = Object.entries(fields).map(([name, value]) => `<${name}>${cdata(value)}</${name}>`);
  const extra = 'State' in fields ? '<ExtraInfo></ExtraInfo>' : '';
  const xml = `<xml><SuiteId>${cdata(templateId)}</SuiteId><InfoType>${cdata(infoType)}</InfoType><TimeStamp>${now()}</TimeStamp>${elements.join('')}${extra}</xml>`;
  return { what: infoType, xml };
}

/** A member came into the app's range or left it. Source: developer.work.weixin.qq.com/document/path/90376 */
export function rangeMessage(what: 'subscribe' | 'unsubscribe', toUser: string, member: string, agentId: string) {
  const xml = `<xml><ToUserName>${cdata(toUser)}</ToUserName><FromUserName>${cdata(member)}</FromUserName><CreateTime>${now()}</CreateTime><MsgType>${cdata('event')}</MsgType><Event>${cdata(what)}</Event><AgentID>${Number(agentId)}</AgentID></xml>`;
  return { what, xml };
}

function now(): number {
  return Math.floor(Date.now() / 1000);
}
