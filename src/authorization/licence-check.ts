import { type ConnectorCheck, DirectoryError } from '../connector/directory-connector';
import type { WecomProvider } from '../connector/wecom/wecom.provider';
import type { IdentitySource } from '../identity-source/identity-source.entity';

const NAME = 'INTERFACE_LICENCE';
const CALL_MS = 10_000;
const BUY = 'Buy and assign base accounts: 服务商后台 > 接口调用许可.';

/** Whether WeCom asks for a paid account for each member: of customised apps only. Source: developer.work.weixin.qq.com/document/path/97176 */
export async function checkLicence(
  source: IdentitySource,
  provider: WecomProvider | undefined,
): Promise<ConnectorCheck> {
  if (source.wecomMode !== 'SERVICE_PROVIDER')
    return found('PASSED', 'A company’s own app needs no interface licence.', null);
  if (!provider || !source.corpId) {
    return found('SKIPPED', 'Not asked, because this server is not set up as a service provider.', null);
  }
  try {
    const { checked, trialEndsAt } = await provider.licence(source.corpId, AbortSignal.timeout(CALL_MS));
    if (!checked) return found('PASSED', 'WeCom does not ask for interface licences yet.', null);
    if (trialEndsAt && trialEndsAt.getTime() > Date.now())
      return found('WARNING', `The trial without licences ends at ${trialEndsAt.toISOString()}.`, BUY);
    return found('WARNING', 'WeCom asks for a licence for every member; who has none cannot log on.', BUY);
  } catch (error) {
    if (!(error instanceof DirectoryError)) throw error;
    const { message, advice, thirdPartyCode } = error;
    return { name: NAME, outcome: 'FAILED', message, advice, thirdPartyCode: thirdPartyCode ?? null };
  }
}

function found(outcome: ConnectorCheck['outcome'], message: string, advice: string | null): ConnectorCheck {
  return { name: NAME, outcome, message, advice, thirdPartyCode: null };
}
